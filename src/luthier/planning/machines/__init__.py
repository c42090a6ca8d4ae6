"""Hardware by name, a file each.

FLOPS: products in bfloat16 a second at their peak. MEMORY: bytes. BANDWIDTH: bytes a second. PRICE: dollars an hour of
one. MFU: the share of the peak that training is taken to reach, after what is published for models of some billions of
parameters (Narayanan et al. 2021; Touvron et al. 2023; Liang et al. 2024, "TorchTitan"): small models reach less.
"""
