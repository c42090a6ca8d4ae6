"""NVIDIA L4, 24 GB.

Peak of bfloat16 without sparsity, memory and bandwidth: NVIDIA's data sheet.
Price: RunPod's list, March 2026, dollars an hour.
"""

NAME = "L4"
FLOPS = 121e12
MEMORY = 24e9
BANDWIDTH = 0.3e12
PRICE = 0.44
MFU = 0.35
