"""A model of the Llama family as a GGUF file: the reverse of `luthier.models.loading.gguf`, tensor by tensor.

Names are the ones that the gguf package maps. llama.cpp rotates neighbouring dimensions of a Llama's queries and keys,
transformers those half a head apart: rows are reordered, and the import puts them back.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from luthier.core.errors import LuthierError
from luthier.data.chat import answer_end
from luthier.export.gguf_tokenizer import add_tokenizer, check_tokenizer
from luthier.models.ends import ends, naming_the_end

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFWriter

Type = Literal["f32", "f16", "q8_0"]
ROTARY = frozenset({"llama"})  # whose query and key rows llama.cpp keeps in another order
SUPPORTED = ("llama", "qwen2", "qwen3")
BLOCK = 32  # numbers that share a scale in Q8_0


def write_gguf(model: Any, tokenizer: Any, path: Path, kind: Type, name: str) -> None:
    """Write the model with its tokenizer and template. kind: of the matrices; vectors stay float32.

    Raises LuthierError for an architecture or a setting of it that llama.cpp would run in another way.
    """
    import gguf
    import numpy as np

    config = model.config
    check_architecture(config, name)
    writer = gguf.GGUFWriter(path, config.model_type)
    try:
        _add_configuration(writer, config, kind, name)
        found = ends(model, tokenizer, answer_end(tokenizer))
        with naming_the_end(tokenizer, found):
            add_tokenizer(writer, tokenizer, model.get_input_embeddings().weight.shape[0], name, found.tokens)
        tensors = _tensors(model)
        for stored, tensor in tensors.items():
            shape = tuple(tensor.shape)
            quantised = _type_of(shape, kind)
            block, size = gguf.GGML_QUANT_SIZES[quantised]
            writer.add_tensor_info(stored, shape, np.dtype(np.float32), tensor.numel() // block * size, quantised)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for stored, tensor in tensors.items():
            writer.write_tensor_data(_converted(stored, tensor, config, kind))
    finally:
        writer.close()


def check_model(config: Any, tokenizer: Any, name: str) -> None:
    """Refuse a model by its configuration and tokenizer. Raises LuthierError."""
    check_architecture(config, name)
    check_tokenizer(tokenizer, name)


def check_architecture(config: Any, name: str) -> None:
    """Refuse what the file could not say, or llama.cpp would not do. Raises LuthierError."""
    if config.model_type not in SUPPORTED:
        raise LuthierError(
            f"{name}: a {config.model_type} model cannot be written as GGUF yet ({', '.join(SUPPORTED)} can): --to "
            "merged writes a folder, and llama.cpp's own converter may know it"
        )
    rope = getattr(config, "rope_parameters", None) or {}
    reasons = {
        f"rotary scaling {rope.get('rope_type')}": rope.get("rope_type", "default") != "default",
        "a partial rotation": rope.get("partial_rotary_factor", 1.0) != 1.0,
        "attention over a sliding window": getattr(config, "use_sliding_window", False) and config.sliding_window,
        f"activation {config.hidden_act}": config.hidden_act != "silu",
        "biases in its layers": getattr(config, "attention_bias", False) or getattr(config, "mlp_bias", False),
    }
    for reason, found in reasons.items():
        if found:
            raise LuthierError(f"{name}: a {config.model_type} model with {reason} cannot be written as GGUF yet")


def _add_configuration(writer: GGUFWriter, config: Any, kind: Type, name: str) -> None:
    import gguf

    file_types = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "q8_0": "MOSTLY_Q8_0"}
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType[file_types[kind]])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base((getattr(config, "rope_parameters", None) or {}).get("rope_theta", 10000.0))
    writer.add_rope_dimension_count(head)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_vocab_size(config.vocab_size)


def _tensors(model: Any) -> dict[str, Any]:
    """The model's tensors under GGUF's names, in the model's order; a tied head is the embedding."""
    import gguf

    arch = next(a for a, text in gguf.MODEL_ARCH_NAMES.items() if text == model.config.model_type)
    names = gguf.get_tensor_name_map(arch, model.config.num_hidden_layers)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    out = {}
    for path, tensor in model.state_dict().items():
        if tied and tensor.data_ptr() == model.get_output_embeddings().weight.data_ptr() and "embed" not in path:
            continue
        stored = names.get_name(path, try_suffixes=(".weight", ".bias"))
        if stored is None:
            raise LuthierError(f"{path}: GGUF has no name for this weight: the model has something of its own")
        out[stored] = tensor
    return out


def _type_of(shape: tuple[int, ...], kind: Type) -> GGMLQuantizationType:
    from gguf import GGMLQuantizationType as Quantisation

    if len(shape) < 2 or kind == "f32":
        return Quantisation.F32
    return Quantisation.Q8_0 if kind == "q8_0" and shape[-1] % BLOCK == 0 else Quantisation.F16


def _converted(stored: str, tensor: Any, config: Any, kind: Type) -> np.ndarray[Any, Any]:
    from gguf.quants import quantize

    values = tensor.detach().float().cpu().numpy()
    if config.model_type in ROTARY and (".attn_q." in stored or ".attn_k." in stored):
        heads = config.num_attention_heads if ".attn_q." in stored else config.num_key_value_heads
        values = rotary_order(values, heads)
    return quantize(values, _type_of(values.shape, kind))


def rotary_order(rows: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows (heads · d, …): the two halves of each head become neighbours, row i before row i + d/2."""
    import numpy as np

    halves = rows.reshape(heads, 2, -1, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)
