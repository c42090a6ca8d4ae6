"""How good an adapted model is: classification, generation, forgetting."""
