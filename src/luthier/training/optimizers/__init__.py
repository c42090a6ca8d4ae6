"""What moves the weights, a file each: `make(groups, hidden, rate, epsilon)` gives an optimiser of torch's kind.

groups: dictionaries with `params` (float32), `scale` of the learning rate and `weight_decay`. hidden: ids of those that
are matrices between the embedding and the vocabulary head, which some optimisers treat by themselves. An optimiser has
`param_groups` with the same keys, `state` by parameter (tensors alone, for checkpoints), `step` and `zero_grad`.
"""
