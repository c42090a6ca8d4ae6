"""NVIDIA A100 SXM, 80 GB.

Peak of bfloat16 without sparsity, memory and bandwidth: NVIDIA's data sheet.
Price: RunPod's list, March 2026, dollars an hour.
"""

NAME = "A100"
FLOPS = 312e12
MEMORY = 80e9
BANDWIDTH = 2.04e12
PRICE = 1.39
MFU = 0.45
