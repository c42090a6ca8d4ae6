"""Task data: read and check a file, split it, put it through a chat template with a loss mask."""
