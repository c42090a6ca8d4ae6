"""The weights of a GGUF file as one safetensors file of float32 numbers, written tensor by tensor."""

import json
import logging
import math
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.models.loading.gguf_header import Header, Tensor

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

_log = logging.getLogger(__name__)
_FLOAT32_BYTES = 4
_SAFETENSORS_ALIGNMENT = 8
_NUMBERS_IN_A_ROW = 8192


def float32_bytes(header: Header) -> int:
    """The size in bytes of all the file's tensors as float32."""
    return _FLOAT32_BYTES * sum(math.prod(tensor.shape) for tensor in header.tensors)


def write_weights(header: Header, values: dict[str, Any], model: "PreTrainedModel", path: Path) -> None:
    """Dequantise the tensors into the safetensors file `path` under the model's names.

    The file is laid out in advance, so that no more than one tensor of the model is in memory. transformers' own
    processors undo what llama.cpp's conversion did to the layout (the order of rotary dimensions, norms plus one).

    Args:
        values: the configuration as transformers read it from the header, which its processors ask for.
        model: the empty model, for names and shapes.

    Raises:
        LuthierError: a weight is missing or has another shape than the metadata say, or an unsupported type.
    """
    import numpy as np
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor

    kind: Any = TENSOR_PROCESSORS.get(header.architecture, TensorProcessor)
    processor = kind(config=values)
    names = _names(model, processor)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    targets = {tensor.name: _target(tensor.name, names) for tensor in header.tensors}
    # A mixture's gate and up projections are two tensors here and one in the model: whole with the second of them.
    parts_left = Counter(target for target in targets.values() if target is not None)
    _check_complete(header, model, set(parts_left))
    _check_unused(header, [name for name, target in targets.items() if target is None])
    head, places = _layout({name: shapes[name] for name in parts_left})
    merged: dict[str, Any] = {}
    data = np.memmap(header.path, mode="r", dtype=np.uint8)
    with path.open("wb") as file:
        file.write(head)
        for tensor in header.tensors:
            target = targets[tensor.name]
            if target is None:
                continue
            result = processor.process(
                weights=_dequantised(header, data, tensor),
                name=tensor.name,
                tensor_key_mapping=names,
                parsed_parameters={"tensors": merged},
            )
            if result.name is not None:  # else the processor put it into `merged` itself
                merged[target] = result.weights
            parts_left[target] -= 1
            if not parts_left[target]:
                weights = np.ascontiguousarray(merged.pop(target), dtype=np.float32)
                _check_shape(header, target, weights.shape, shapes[target])
                file.seek(places[target])
                file.write(weights.data)
        file.flush()
        os.fsync(file.fileno())


class _Flat:
    """A model's names without its tree: all that transformers' mapping needs, which builds a table per submodule."""

    def __init__(self, model: "PreTrainedModel", prefix: str = "") -> None:
        self.config = model.config
        self._state = {name.removeprefix(prefix): None for name in model.state_dict() if name.startswith(prefix)}

    def state_dict(self) -> dict[str, None]:
        return self._state

    def named_children(self) -> list[Any]:
        return []


def _names(model: "PreTrainedModel", processor: Any) -> dict[str, str]:
    """The model's name for each name in the file. Some files name the weights from the model below the head on."""
    from transformers.modeling_gguf_pytorch_utils import get_gguf_hf_weights_map

    prefix = f"{model.base_model_prefix}."
    whole: dict[str, str] = get_gguf_hf_weights_map(_Flat(model), processor)
    below: dict[str, str] = get_gguf_hf_weights_map(_Flat(model, prefix), processor, qual_name=prefix)
    return below | whole


def _target(name: str, names: dict[str, str]) -> str | None:
    """The model's name for a tensor of the file; None for one that the model does not have."""
    return names.get(name, names.get(name.removesuffix(".weight")))


def _check_complete(header: Header, model: "PreTrainedModel", found: set[str]) -> None:
    tied = set(model.all_tied_weights_keys)
    absent = sorted(set(model.state_dict()) - tied - found)
    if absent:
        raise LuthierError(
            f"{header.path}: {len(absent)} of the model's weights are not in it, the first is {absent[0]}. It holds "
            "only a part of the model (a split file?) or is damaged: merge the parts with llama-gguf-split first."
        )


def _check_unused(header: Header, names: list[str]) -> None:
    """Refuse a file of which a part of a layer would be left out; say so of anything else, such as rope_freqs."""
    if inside := [name for name in names if name.startswith("blk.")]:
        raise LuthierError(
            f"{header.path}: {len(inside)} of its tensors have no place in a {header.architecture} model as its "
            f"metadata describe it, the first is {inside[0]}: without them it would be another model. Use the model's "
            "original folder or hub id instead."
        )
    if names:
        _log.warning("%s: left out, since the model has no place for them: %s", header.path, ", ".join(names))


def _check_shape(header: Header, name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise LuthierError(
            f"{header.path}: {name} has the shape {shape} where the file's metadata ask for {expected}: "
            "the file is damaged. Download or convert it again."
        )


def _layout(shapes: dict[str, tuple[int, ...]]) -> tuple[bytes, dict[str, int]]:
    """The first bytes of a safetensors file, and where in the file each tensor starts."""
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offsets, end = {}, 0
    for name, shape in shapes.items():
        offsets[name], end = end, end + _FLOAT32_BYTES * math.prod(shape)
        table[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offsets[name], end]}
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _SAFETENSORS_ALIGNMENT)
    head = len(text).to_bytes(8, "little") + text
    return head, {name: len(head) + offset for name, offset in offsets.items()}


def _dequantised(header: Header, data: "np.ndarray[Any, Any]", tensor: Tensor) -> "np.ndarray[Any, Any]":
    """The tensor's numbers as float32, in its shape."""
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    kind = GGMLQuantizationType(tensor.ggml_type)
    count, width = math.prod(tensor.shape[:-1]), tensor.shape[-1]
    # gguf works on 16 rows at a time: rows laid together up to a size that still fits a cache make that twice as fast.
    together = math.gcd(count, 1 << max(0, (_NUMBERS_IN_A_ROW // width).bit_length() - 1))
    rows = data[tensor.start : tensor.start + tensor.nbytes].reshape(count // together, -1)
    try:
        return dequantize(rows, kind).reshape(tensor.shape)
    except NotImplementedError as error:
        raise LuthierError(
            f"{header.path}: {tensor.name} is of the type {kind.name}, which cannot be turned into float32. "
            "Use a file of another quantisation (Q4_K_M, Q8_0, F16...)."
        ) from error
