"""Which way of running a causal model gives what the model itself gives: tried on a few tokens when it is loaded.

What the model itself gives is transformers' plain forward pass over one text alone, with attention written out
("eager"): quicker kernels leave things out that some families need (Gemma 2's capped scores). Against it stand, in
this order, our packed pass with its decoding, and padded blocks through the model's own attention. What agrees with
none of them is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
import transformers
from torch import Tensor

from luthier.core.errors import LuthierError, is_our_fault
from luthier.core.records import Sampling
from luthier.io.files import read_record, write_json
from luthier.models.attention.packed import How, KeysValues, Packed, register
from luthier.models.loading.bundled import cache_dir
from luthier.models.loading.plain import TEXTS, Plain, close, head_of, plain_pass, tokens
from luthier.models.loading.quiet import quiet
from luthier.models.runner import PackedRunner, PaddedRunner, Runner

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM

C = TypeVar("C", bound="CausalLM")
VERSION = 3  # of what is tried here
SHARED = 4  # of the first one's, computed before the rest
PROMPTS = (8, 4, 1)  # tokens of prompts that are decoded by transformers
WRITTEN = 3  # tokens that are decoded
KNOWN_LAYERS = {"full_attention", "sliding_attention"}  # kinds of layers whose sight the packed way can narrow itself
PADDED = [PaddedRunner(masked, alike) for alike in (False, True) for masked in (False, True)]


def probe(lm: C) -> C:
    """The model with the way it is run and what it does to its logits, found once for these weights and libraries.

    Raises LuthierError where nothing agrees.
    """
    path = _record_of(lm)
    if path and path.exists() and (known := _remembered(lm, path)):
        return known
    try:
        found = _probed(lm)
    except LuthierError:
        raise
    except Exception as error:  # what a model cannot do it may say in any way
        if is_our_fault(error):
            raise
        kind = type(lm.model).__name__
        raise LuthierError(f"{lm.name}: a {kind} cannot be run here ({type(error).__name__}: {error})") from error
    if path:
        runner = asdict(found.runner) if isinstance(found.runner, PaddedRunner) else None
        said = {"attention": lm.model.config._attn_implementation, "padded": runner}
        write_json(path, said | {"head_scale": found.head_scale, "softcap": found.softcap})
    return found


def _record_of(lm: CausalLM) -> Path | None:
    """Where it is written down for a model that is known by its content."""
    if not lm.key:
        return None
    about = [VERSION, lm.key, lm.device.type, transformers.__version__, torch.__version__]
    return cache_dir() / "probes" / f"{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]}.json"


def _remembered(lm: C, path: Path) -> C | None:
    try:
        said = read_record(path, "attention", "padded", "head_scale", "softcap")
        runner: Runner = PaddedRunner(**said["padded"]) if said["padded"] else PackedRunner()
    except (LuthierError, TypeError):  # damaged, or of another version: found anew
        return None
    register()
    with quiet():
        if not _switch(lm, said["attention"]):
            return None
    return replace(lm, runner=runner, head_scale=said["head_scale"], softcap=said["softcap"])


def _probed(lm: C) -> C:
    own = lm.model.config._attn_implementation
    with torch.no_grad(), quiet():
        with _attention(lm, "eager") as eager:
            plain = plain_pass(lm)
        scale, softcap = head_of(lm, plain)
        lm = replace(lm, head_scale=scale, softcap=softcap)
        if _switch(lm, register()) and _packed_agrees(lm, plain):
            return replace(lm, runner=PackedRunner())
        ways = dict.fromkeys([own, "eager"] if eager else [own])
        for implementation in ways:
            _switch(lm, implementation)
            for runner in PADDED:
                if _tried(partial(_same, lm, runner, plain)):
                    return replace(lm, runner=replace(runner, cached_from=_cached_from(lm, runner)))
    kind = type(lm.model).__name__
    raise LuthierError(
        f"{lm.name}: what a {kind} gives for a text depends on the texts beside it, packed or padded, so it cannot be "
        "run in batches: name another model"
    )


# -- packed ----------------------------------------------------------------------------------------------------------


@dataclass
class _Watched(Packed):
    """Packed segments that note what every attention module says when it asks."""

    asked: list[tuple[int, How]] = field(default_factory=list)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, how: How) -> Tensor:
        self.asked.append((layer, how))
        return super().attend(layer, q, k, v, how)


def _packed_agrees(lm: CausalLM, plain: Plain) -> bool:
    """Two texts in one pass, the rest of one behind its beginning, and tokens decoded one by one."""
    checks = (_side_by_side, _behind_prefix, _decoded)
    return _narrow_layers(lm) is not None and all(_tried(partial(check, lm, plain)) for check in checks)


def _side_by_side(lm: CausalLM, plain: Plain) -> bool:
    layout = _Watched(TEXTS)
    positions = torch.cat([torch.arange(n, device=lm.device) for n in TEXTS])
    got = lm.forward(torch.cat(plain.ids)[None], positions[None], layout)[0]
    layers = [layer for layer, _ in layout.asked]
    windows = sum(how.window is not None for _, how in layout.asked)
    each_once = layers and len(layers) == len(set(layers))
    return (
        bool(each_once) and windows == _narrow_layers(lm) and close(got, torch.cat(plain.states), lm.head.weight.dtype)
    )


def _narrow_layers(lm: CausalLM) -> int | None:
    """How many layers see a window only, by the configuration; None where some see in a way that is not known here."""
    config = lm.model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return None if set(kinds) - KNOWN_LAYERS else sum(kind == "sliding_attention" for kind in kinds)
    return len(lm.blocks) if getattr(config, "sliding_window", None) else 0


def _behind_prefix(lm: CausalLM, plain: Plain) -> bool:
    ids, states = plain.ids[0], plain.states[0]
    record: KeysValues = {}
    places = torch.arange(len(ids), device=lm.device)[None]
    lm.forward(ids[None, :SHARED], places[:, :SHARED], Packed([SHARED], record=record))
    rest = Packed([len(ids) - SHARED], prefix=record)
    return close(lm.forward(ids[None, SHARED:], places[:, SHARED:], rest)[0], states[SHARED:], lm.head.weight.dtype)


def _decoded(lm: CausalLM, plain: Plain) -> bool:
    """Tokens decoded one by one, behind a beginning that is computed first for all and without one."""
    from luthier.models.inference.beginnings import grow
    from luthier.models.inference.rows import prefilled
    from luthier.models.inference.slots import Slots

    slots, hidden = Slots(), []
    for ids, shared in zip(plain.ids, (SHARED, 0), strict=True):
        beginning = grow(lm, ids[:shared].tolist())
        record, last = prefilled(lm, [ids[shared:-WRITTEN].tolist()], beginning)
        slots.add(record, [len(ids) - shared - WRITTEN], beginning)
        hidden.append(last)
    states = torch.cat(hidden)
    for step in range(-WRITTEN - 1, 0):
        if not close(states, torch.stack([s[step] for s in plain.states]), lm.head.weight.dtype):
            return False
        if step < -1:
            tokens = torch.stack([ids[step + 1] for ids in plain.ids])
            states = slots.forward(lm, tokens)
    return True


# -- padded ----------------------------------------------------------------------------------------------------------


def _same(lm: CausalLM, runner: Runner, plain: Plain) -> bool:
    """Unlike rows in one block, and one alone."""
    ids = [*plain.ids, plain.ids[0][:-1]]
    want = [*plain.states, plain.states[0][:-1]]
    sizes = [len(one) for one in ids]
    whole = torch.cat(ids)
    return close(runner.hidden(lm, whole, whole, sizes), torch.cat(want), lm.head.weight.dtype)


def _cached_from(lm: CausalLM, runner: PaddedRunner) -> int | None:
    """The shortest prompt from which on transformers' decoding gives the logits that the whole text gives."""
    found = None
    for n in PROMPTS:
        if not _tried(partial(_cached_agrees, lm, runner, n)):
            break
        found = n
    return found


def _cached_agrees(lm: CausalLM, runner: PaddedRunner, n: int) -> bool:
    from luthier.models.inference.own_decoding import settings

    model: Any = lm.model
    first, second = tokens(lm)
    block = torch.stack([first[:n], torch.cat([second, first])[:n]])
    given = settings(model, Sampling(WRITTEN), WRITTEN, (), lm.fill)
    given.output_logits = given.return_dict_in_generate = True
    out = model.generate(input_ids=block, attention_mask=torch.ones_like(block), generation_config=given)
    whole = out.sequences[:, :-1]
    rows, size = whole.shape
    states = runner.hidden(lm, whole.flatten(), whole.flatten(), [size] * rows).view(rows, size, -1)
    want = lm.head.logits(states[:, n - 1 :])
    return close(torch.stack(out.logits, 1), want, lm.head.weight.dtype)


# -- both ------------------------------------------------------------------------------------------------------------


def _tried(check: Callable[[], bool]) -> bool:
    """The check's answer; False where the model cannot do it at all: it is a program of somebody else's."""
    try:
        return check()
    except Exception as error:
        if is_our_fault(error):
            raise
        return False


def _switch(lm: CausalLM, implementation: str) -> bool:
    """Another attention implementation, where the model takes it."""
    return _tried(lambda: cast(Any, lm.model).set_attn_implementation(implementation) is None)


@contextmanager
def _attention(lm: CausalLM, implementation: str) -> Iterator[bool]:
    """Another attention implementation for the length of a `with` block; whether the model took it."""
    own = lm.model.config._attn_implementation
    taken = _switch(lm, implementation)
    try:
        yield taken
    finally:
        _switch(lm, own)
