"""Import a GGUF file: write it as an ordinary Hugging Face folder with float32 weights.

    import_gguf(Path("model.gguf"), Path("model"))      # model/: config.json, model.safetensors, tokenizer.json, ...

The result equals what transformers' own GGUF loader gives, tensors and token ids, in a fraction of its time and
memory. That loader turns the vocabulary into numpy arrays element by element and holds the whole model; here its
rules for configuration, names and layout are applied to a copy of the header without the vocabulary, and the weights
go to disk one by one.
"""

import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from luthier.core.errors import LuthierError
from luthier.io.files import sync_folder
from luthier.models.loading.gguf_header import Array, Header, read_header
from luthier.models.loading.gguf_weights import float32_bytes, write_weights
from luthier.models.loading.quiet import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

# Values of general.architecture whose import is tested against transformers' loader. It knows a few more that it cannot
# load itself, that need their weights held in memory at once, or that are no causal language models.
SUPPORTED = (
    "bloom",
    "falcon",
    "gemma2",
    "gemma3",
    "gpt2",
    "llama",
    "mamba",
    "nemotron",
    "phi3",
    "qwen2",
    "qwen2moe",
    "qwen3",
    "qwen3moe",
    "stablelm",
    "starcoder2",
)
_MAX_EXPERTS = 4096


def import_gguf(source: Path, folder: Path) -> None:
    """Write the model in the GGUF file `source` as the new Hugging Face folder `folder`.

    The folder appears whole or not at all. Quantised weights are written as the float32 numbers they stand for.

    Raises:
        LuthierError: the file is damaged, its architecture or a tensor's type is not supported, `folder` exists, or
            the disk is full.
    """
    header = read_header(source)
    _check(header)
    if folder.exists():
        raise LuthierError(f"{folder} exists already: name a new folder or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _check_space(header, folder.parent)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent) as name:
        work = Path(name) / folder.name
        work.mkdir()
        with _explained(source), quiet():
            values = _config_values(header)
            model = _empty_model(values)
            with ThreadPoolExecutor(1) as pool:  # the weights are numpy and disk, the tokenizer is Python: side by side
                weights = pool.submit(write_weights, header, values, model, work / "model.safetensors")
                model.config.save_pretrained(work)
                if model.can_generate() and model.generation_config is not None:
                    model.generation_config.save_pretrained(work)
                _write_tokenizer(source, model.config, work)
                weights.result()
            _sync(work)
            work.rename(folder)
    sync_folder(folder.parent)


@contextmanager
def _explained(source: Path) -> Iterator[None]:
    """Turn whatever transformers, tokenizers or gguf raise about a foreign file into a LuthierError."""
    try:
        yield
    except LuthierError:
        raise
    except Exception as error:
        raise LuthierError(
            f"{source}: the model in it cannot be imported ({type(error).__name__}: {error}). If the disk is not full, "
            "the file is damaged or made for another program: download it again, or use the model's original folder."
        ) from error


def _check(header: Header) -> None:
    """Refuse what is not supported, and counts that would make building the model endless."""
    arch = header.architecture
    if arch not in SUPPORTED:
        raise LuthierError(
            f"{header.path}: the architecture {arch!r} cannot be imported from GGUF. Supported are: "
            f"{', '.join(SUPPORTED)}. Use the model's original folder or hub id instead."
        )
    for key, most in ((f"{arch}.block_count", len(header.tensors)), (f"{arch}.expert_count", _MAX_EXPERTS)):
        count = header.integer(key)
        if count is not None and not 0 <= count <= most:
            raise LuthierError(f"{header.path}: {key} is {count}, more than the file can hold: it is damaged")


def _check_space(header: Header, folder: Path) -> None:
    need, free = float32_bytes(header), shutil.disk_usage(folder).free
    if need > free:
        raise LuthierError(
            f"{header.path} needs {need / 1e9:.1f} GB as float32 and {folder} has {free / 1e9:.1f} GB free: "
            "make room, or set LUTHIER_CACHE to a folder on a larger disk"
        )


def _sync(folder: Path) -> None:
    """Flush the folder's files to disk, so that the rename never shows an empty one after a power cut."""
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def _config_values(header: Header) -> dict[str, Any]:
    """The configuration that transformers derives from the header, by its own code."""
    from transformers import modeling_gguf_pytorch_utils

    theirs: Any = modeling_gguf_pytorch_utils
    with tempfile.TemporaryDirectory() as name:
        stub = Path(name) / "header.gguf"
        stub.write_bytes(_stub(header))
        values: dict[str, Any] = theirs.load_gguf_checkpoint(str(stub))["config"]
    tokens = header.length("tokenizer.ggml.tokens")
    if "vocab_size" not in values and tokens is not None:
        values["vocab_size"] = tokens
    values.pop("_model_name_or_path", None)
    head = header.integer(f"{header.architecture}.attention.key_length")
    if head is not None and "head_dim" not in values and _has_head_dim(str(values["model_type"])):
        values["head_dim"] = head  # which transformers leaves at the architecture's usual size
    return values


def _has_head_dim(model_type: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return hasattr(CONFIG_MAPPING[model_type](), "head_dim")


def _stub(header: Header) -> bytes:
    """The file without the vocabulary and with every tensor shrunk to one number: same metadata, same names."""
    kept = [
        entry
        for key, entry in header.metadata.items()
        if key != "general.alignment" and not (key.startswith("tokenizer.") and isinstance(entry.value, Array))
    ]
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(header.tensors), len(kept))]
    with header.path.open("rb") as file:
        for entry in kept:
            file.seek(entry.start)
            parts.append(file.read(entry.end - entry.start))
    for tensor in header.tensors:
        text = tensor.name.encode()
        one_float_at_the_start = struct.pack("<IQIQ", 1, 1, 0, 0)
        parts.append(struct.pack("<Q", len(text)) + text + one_float_at_the_start)
    return b"".join(parts) + bytes(64)


def _empty_model(values: dict[str, Any]) -> "PreTrainedModel":
    """The model without memory for its weights (on torch's meta device)."""
    import torch
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    config = AutoConfig.for_model(**values)
    kind = cast("Any", MODEL_FOR_CAUSAL_LM_MAPPING)[type(config)]
    config.architectures = [kind.__name__]
    config.dtype = torch.float32
    with torch.device("meta"):
        model: PreTrainedModel = kind(config)
    return model


def _write_tokenizer(source: Path, config: "PreTrainedConfig", folder: Path) -> None:
    """Let transformers read the tokenizer out of the file, with the class that AutoTokenizer would choose."""
    from transformers import PreTrainedTokenizerFast
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING

    kind = cast("Any", TOKENIZER_MAPPING).get(type(config), None)
    if kind is None or kind.__name__ == "MistralCommonBackend":  # which reads Mistral's own files only
        kind = PreTrainedTokenizerFast
    with tempfile.TemporaryDirectory() as name:
        # Alone in a folder: a tokenizer.json beside the file would be taken instead of what the file holds.
        alone = Path(name) / "model.gguf"
        try:
            alone.symlink_to(source.resolve())
        except OSError:
            shutil.copyfile(source, alone)
        tokenizer = kind.from_pretrained(name, gguf_file=alone.name)
    tokenizer.save_pretrained(folder)
