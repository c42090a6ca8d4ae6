"""NVIDIA GeForce RTX 4090, 24 GB.

Peak of bfloat16 without sparsity, memory and bandwidth: NVIDIA's data sheet of the Ada architecture.
Price: RunPod's list, March 2026, dollars an hour.
"""

NAME = "RTX 4090"
FLOPS = 165e12
MEMORY = 24e9
BANDWIDTH = 1.01e12
PRICE = 0.34
MFU = 0.45
