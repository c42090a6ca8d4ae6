"""Classical models on frozen features: what they are when fitted, and linear ones as one matrix."""
