"""The base model as a user of `peft` loads it: by transformers alone, in float32, or in 4 bits by bitsandbytes."""

from __future__ import annotations

from typing import Any


def peft_base(folder: str, four_bit: bool) -> Any:
    """A causal model. four_bit: NF4 with double quantisation, products in float32, as QLoRA's authors have it."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    loading: dict[str, Any] = {"dtype": torch.float32, "attn_implementation": "sdpa"}
    if four_bit:
        loading["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )  # fmt: skip
    return AutoModelForCausalLM.from_pretrained(folder, **loading)
