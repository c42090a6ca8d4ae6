"""What training will take, told before it begins: parameters, arithmetic, memory by part, time and cost.

    recipe --job--> the training step itself, on tensors without numbers --dry_run--> memory, work
           work --here--> seconds of this machine, its products measured;  work --machines--> seconds of named hardware

No method is known by its name here: patch, objective and optimiser run as they do in training (`training.attach`), on a
model that was made from its configuration alone.
"""
