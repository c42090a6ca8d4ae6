"""Experiments of the field as commands: one file a study in `studies/`, run on any model and data."""
