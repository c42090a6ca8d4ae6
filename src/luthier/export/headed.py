"""A run with a label head as a model folder with the head beside it: `label_head.safetensors` and `label_head.json`.

What the head does to a state (standardising it, and of a number the way back to the data's unit) is folded into one
matrix: logits = state @ weight.T + bias. Which state it reads is written in words, and is what transformers' AutoModel
gives. No class of transformers reads that state with a bias of its own, so the head is a file of its own.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.export.merged import ALLOWED, fold, number_format
from luthier.export.parity import TEXTS, Before, Check, compare_logits, compare_tokenizer, texts_of
from luthier.export.source import Source
from luthier.io.files import write_json, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.labelling import LabelHead

NAME = "label_head"
STATES = {
    "causal": "last_hidden_state[0, -1] of the tokens",
    "encoder": "last_hidden_state[0].mean(0) of the tokens, special ones included",
    "seq2seq": "last_hidden_state[0, 0] of the tokens, with decoder_input_ids [[decoder_start_token_id]]",
}
MEANING = {
    "labels": "softmax over the labels",
    "tags": "sigmoid of each label by itself",
    "scalar": "the number",
    "reward": "the number",
}


def read_by_head(lm: TrainableLM) -> Before:
    """What the head gives for every text as the run words it: one row of logits (1, K)."""
    import torch

    from luthier.models.inference.scoring import last_hidden
    from luthier.models.labelling import ScalarHead

    assert lm.label_head is not None
    ids = [lm.encode_prompt(text, lm.labels) for text in TEXTS]
    with torch.no_grad():
        rows = torch.cat([lm.label_head(states) for states in last_hidden(lm, ids)]).double()
        if isinstance(lm.label_head, ScalarHead):
            rows = lm.label_head.read(rows, [0])
    own = [row[len(lm.virtual) :] for row in ids]
    return Before(own, list(rows.float().cpu()[:, None]), *texts_of(lm.tokenizer), lm.ends)


def folded(head: LabelHead, scale: float) -> dict[str, Tensor]:
    """weight (K, d) and bias (K,) of what the head does to `scale` times a state."""
    from luthier.models.labelling import ScalarHead

    weight = head.weight.double() / head.scale.double()
    bias = head.bias.double() - weight @ head.mean.double()
    weight = weight * scale
    if isinstance(head, ScalarHead):
        weight, bias = weight * head.spread, bias * head.spread + head.centre
    return {"weight": weight.float(), "bias": bias.float()}


def write_headed(source: Source, before: Before, folder: Path) -> list[Check]:
    """Write model, tokenizer and head into the existing folder; load them with transformers and compare."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModel, AutoTokenizer

    from luthier.models.ends import save_model
    from luthier.models.loading.kinds import kind_of
    from luthier.models.loading.quiet import quiet

    fold(source)
    lm, dtype = source.lm, number_format(source)
    model: Any = lm.model
    head, kind = lm.label_head, kind_of(model.config, str(source.folder))
    assert head is not None
    del model.label_head
    model.to(getattr(torch, dtype))
    save_model(lm, folder)
    write_tensors(folder / f"{NAME}.safetensors", folded(head, getattr(lm, "scale", 1.0)), {"format": "pt"})
    about = {"kind": head.kind, "labels": list(lm.labels), "state": STATES[kind]}
    about |= {"logits": "state @ weight.T + bias", "gives": MEANING[head.kind]}
    write_json(folder / f"{NAME}.json", about)
    shutil.copyfile(source.files / "luthier.json", folder / "luthier.json")
    with quiet():
        again: Any = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
    linear = load_file(folder / f"{NAME}.safetensors")
    states = (_read(again, kind, ids, getattr(lm, "start", 0)) for ids in before.ids)
    after = [(state @ linear["weight"].T + linear["bias"])[None] for state in states]
    return [
        *compare_logits(before, after, ALLOWED[dtype], f"transformers, {dtype}"),
        *compare_tokenizer(before, tokenizer, "transformers"),
    ]


def _read(model: Any, kind: str, ids: list[int], start: int) -> Tensor:
    """The state (d,) that `STATES` names."""
    import torch

    given = {"input_ids": torch.tensor([ids], device=model.device)}
    if kind == "seq2seq":
        given["decoder_input_ids"] = torch.tensor([[start]], device=model.device)
    with torch.no_grad():
        states: Tensor = model(**given).last_hidden_state[0].float().cpu()
    return states.mean(0) if kind == "encoder" else states[0 if kind == "seq2seq" else -1]
