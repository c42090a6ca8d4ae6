"""Who runs the trials of a comparison: supervisor, pool, workers, what they tell."""
