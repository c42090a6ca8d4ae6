"""What is computed in fewer passes over memory: products, blocks, the vocabulary head."""
