"""A study: its finding on a terminal and as a page."""
