"""What became of a corpus, as a page."""
