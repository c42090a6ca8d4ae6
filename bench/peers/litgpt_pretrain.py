"""LitGPT's pre-training: a peer's side of bench/pretrain_vs_litgpt.py, in the peer's own environment.

    litgpt_pretrain.py WORK SETTINGS

Its own `litgpt.pretrain.fit` on its own model, set up as its `main` does, on our first weights and on rows of our
stream. SETTINGS: a JSON object: micro (rows at once), compile (as `main` does), fused (AdamW in one kernel).
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.loggers import Logger
from litgpt import GPT, Config, pretrain
from litgpt.args import EvalArgs, TrainArgs
from litgpt.scripts.convert_hf_checkpoint import copy_weights_hf_llama
from peer_rows import rows_of
from safetensors.torch import load_file
from torch import Tensor

import measure


class Rows:
    """Rows of the stream in its order, as a loader; a step's first row asked for tells when the one before ended."""

    def __init__(self, work: Path, job: dict[str, Any], micro: int) -> None:
        self.parts, self.watch = rows_of(work, job).split(micro), measure.Watch()
        self.each, self.warm = job["batch"] // micro, job["warm"]

    def __iter__(self) -> Iterator[Tensor]:
        for at, part in enumerate([*self.parts, self.parts[0]]):  # one more is asked for behind the last step
            if at == self.warm * self.each:
                self.watch.start()
            elif at % self.each == 0 and at:
                self.watch.stop()
            yield part


class Losses(Logger):  # type: ignore[misc]
    """Keeps the loss of each step."""

    def __init__(self) -> None:
        self.found: list[float] = []

    name, version = "losses", 0

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Called every step."""
        if "loss" in metrics:
            self.found.append(float(metrics["loss"]))

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing is kept of them."""


def model_of(work: Path, job: dict[str, Any]) -> GPT:
    """LitGPT's model of our shape with our weights."""
    ours = json.loads((work / "model" / "config.json").read_text(encoding="utf-8"))
    config = Config(
        name="same", block_size=job["length"], vocab_size=job["vocabulary"], padded_vocab_size=job["vocabulary"],
        n_layer=ours["num_hidden_layers"], n_head=ours["num_attention_heads"], n_embd=ours["hidden_size"],
        n_query_groups=ours["num_key_value_heads"], head_size=ours["hidden_size"] // ours["num_attention_heads"],
        rotary_percentage=1.0, parallel_residual=False, bias=False, norm_class_name="RMSNorm",
        norm_eps=ours["rms_norm_eps"], mlp_class_name="LLaMAMLP", intermediate_size=ours["intermediate_size"],
        rope_base=int(ours["rope_parameters"]["rope_theta"]),
    )  # fmt: skip
    model, found = GPT(config), dict[str, Tensor]()
    weights = load_file(work / "model" / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    copy_weights_hf_llama(config, {}, found, weights)
    model.load_state_dict(found)
    model.transformer.wte.weight = model.lm_head.weight
    return model


def main(work: Path, settings: dict[str, Any]) -> None:
    """Train and print the figures."""
    warnings.filterwarnings("ignore")
    job = json.loads((work / "job.json").read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    losses, rows = Losses(), Rows(work, job, settings["micro"])
    fabric = lightning.Fabric(accelerator="cpu", devices=1, precision="32-true", loggers=[losses])
    fabric.launch()
    fabric.seed_everything(job["seed"])
    model: Any = model_of(work, job)
    shape = model.config
    model = fabric.setup(torch.compile(model) if settings["compile"] else model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=job["lr"], weight_decay=0.0, fused=settings["fused"] or None)
    state = {"model": model, "optimizer": fabric.setup_optimizers(optimizer), "iter_num": 0, "step_count": 0}
    train = TrainArgs(
        save_interval=None, log_interval=1, global_batch_size=job["batch"], micro_batch_size=settings["micro"],
        lr_warmup_steps=0, max_tokens=len(rows.parts) * settings["micro"] * job["length"], max_norm=job["clip"],
        min_lr=job["lr"],
    )  # fmt: skip
    assert model.max_seq_length == job["length"] == shape.block_size
    pretrain.validate = lambda *_, **__: torch.zeros(())  # no look at held-out text, before or behind
    with redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as out:
        pretrain.fit(fabric, 1, state, rows, None, Path(out), None, train, EvalArgs(final_validation=False))
    tokens = job["steps"] * job["batch"] * job["length"]
    measure.give(
        tokens=tokens, seconds=rows.watch.seconds, tokens_per_second=tokens / rows.watch.seconds,
        others=rows.watch.others, peak_bytes=measure.peak_bytes(), losses=losses.found,
        versions=measure.versions("litgpt", "lightning", "torch"),
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
