"""Finished and interrupted runs on disk: found, shown, compared, scored on other data, removed."""
