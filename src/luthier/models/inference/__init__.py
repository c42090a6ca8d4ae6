"""Questions to a model: the engine that yields tokens, likelihoods, features."""
