"""What objectives that learn from judged answers share: pairs as examples, and the log-probabilities of a reference."""
