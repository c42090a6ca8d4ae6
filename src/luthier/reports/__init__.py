"""Results as people read them: terminal, pages, cards. Reads what stands on disk and starts no work."""
