"""Training: one loop for any patch and any objective, what runs its passes, and what both may use."""
