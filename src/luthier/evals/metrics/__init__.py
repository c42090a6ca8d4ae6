"""Scores: one file a metric, found by its name in small letters (`luthier.core.metric`)."""
