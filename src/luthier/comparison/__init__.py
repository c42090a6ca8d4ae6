"""Many methods on one user's data under an equal budget: plan, search, trials, statistics, report."""
