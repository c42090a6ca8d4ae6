"""NVIDIA H200 SXM, 141 GB.

Peak of bfloat16 without sparsity, memory and bandwidth: NVIDIA's data sheet.
Price: RunPod's list, March 2026, dollars an hour.
"""

NAME = "H200"
FLOPS = 989e12
MEMORY = 141e9
BANDWIDTH = 4.8e12
PRICE = 3.59
MFU = 0.4
