"""Tiny random GGUF files for tests."""

from pathlib import Path
from typing import Any, cast

import gguf
import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
Q4_1, Q8_0, F16, F32 = (gguf.GGMLQuantizationType[name] for name in ("Q4_1", "Q8_0", "F16", "F32"))
LLAMA_KEYS = {
    "context_length": 128,
    "embedding_length": 64,
    "block_count": 2,
    "feed_forward_length": 96,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "rope.freq_base": 10000.0,
}
TINY = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def add_byte_level_vocabulary(writer: gguf.GGUFWriter) -> int:
    """A GPT-2 vocabulary: three control tokens, the bytes, and some merges. Returns its size."""
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "ä »"]
    tokens = control + list(cast("Any", bytes_to_unicode)().values()) + [merge.replace(" ", "") for merge in merges]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(control) + [1] * (len(tokens) - len(control)))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    return len(tokens)


def add_sentencepiece_vocabulary(writer: gguf.GGUFWriter) -> int:
    """A Llama 2 vocabulary: controls, bytes, pieces with scores and no merges. Returns its size."""
    pieces = ["▁", *"abcdefghijklmnopqrstuvwxyz", "▁h", "he", "ll", "hell", "▁hell", "▁hello", "今", "天", "今天"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 259 + [-float(i) for i in range(len(pieces))])
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * len(pieces))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    return len(tokens)


def stored_shape(arch: str, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that llama.cpp gives a tensor which has `shape` in transformers."""
    if arch == "gpt2" and len(shape) == 2 and name.startswith("blk."):
        return shape[::-1]
    if "inp_shexp" in name or (len(shape) == 3 and shape[1] == 1):
        return tuple(size for size in shape if size > 1)
    if "gate_exps" in name or "up_exps" in name:  # one tensor in transformers
        return shape[0], shape[1] // 2, shape[2]
    return shape


def tiny(
    path: Path,
    arch: str = "llama",
    keys: dict[str, Any] = LLAMA_KEYS,
    config: dict[str, Any] = TINY,
    kind: gguf.GGMLQuantizationType = Q4_1,
    vocabulary: Any = add_byte_level_vocabulary,
    tied: bool = True,
    model_type: str | None = None,
) -> Path:
    """Write a GGUF file of a random model; its tensors' names come from transformers' map, inverted."""
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, arch)
    for key, value in keys.items():
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        add(f"{arch}.{key}", value)
    size = vocabulary(writer)
    writer.add_vocab_size(size)
    made = AutoConfig.for_model(model_type or arch, vocab_size=size, tie_word_embeddings=tied, **config)
    with torch.device("meta"):
        model = cast("Any", AutoModelForCausalLM).from_config(made)
    processor: Any = TENSOR_PROCESSORS.get(arch, TensorProcessor)
    names = cast("Any", get_gguf_hf_weights_map)(model, processor(config={}))
    state = model.state_dict()
    for name, hf_name in names.items():
        if tied and name == "output.weight":
            continue
        shape = stored_shape(arch, name, tuple(state[hf_name].shape))
        data = rng.normal(0, 0.1, shape).astype(np.float32)
        if name.endswith("ssm_a"):  # the logarithm of its negative is taken
            data = -np.abs(data)
        quantised = kind if len(shape) == 2 and shape[-1] % 32 == 0 else F32
        if "_exps" in name:
            name = name.removesuffix(".weight") + ".weight"
        writer.add_tensor(name, gguf.quants.quantize(data, quantised), raw_dtype=quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
