"""What objectives share that learn from a stream of tokens (`data.stream`), or from rows of text."""
