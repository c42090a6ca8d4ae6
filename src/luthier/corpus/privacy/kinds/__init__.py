"""Kinds of private data that have a shape: a file each, with its PATTERNS."""
