"""NVIDIA H100 SXM, 80 GB.

Peak of bfloat16 without sparsity, memory and bandwidth: NVIDIA's data sheet.
Price: RunPod's list, March 2026, dollars an hour.
"""

NAME = "H100"
FLOPS = 989e12
MEMORY = 80e9
BANDWIDTH = 3.35e12
PRICE = 2.69
MFU = 0.4
