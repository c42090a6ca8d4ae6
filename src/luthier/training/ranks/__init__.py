"""Several processes train one model, started by torchrun: a *rank* each, with its share of every step.

    torchrun --nproc-per-node 2 -m luthier pretrain recipe.yaml     with `parallel: {data: 2}` in the recipe

`group` knows who is there, and how one that fails says so to all. `shares` deals a step's examples out. `sharded` runs
passes over weights, gradients and optimiser state that are cut over the ranks. Every rank goes through the same steps
of the same loop: it knows all examples of a step, so that what comes next does not depend on how many ranks there are.
"""
