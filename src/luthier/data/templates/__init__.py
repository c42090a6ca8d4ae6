"""Prompt templates: those in the package, and those from files."""
