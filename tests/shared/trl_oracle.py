"""What TRL's own trainers make of a batch of judged answers: its loss as a tensor, to be differentiated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, RewardConfig, RewardTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

import tiny
from luthier.core.example import Example

ROWS = Dataset.from_list([{"prompt": "a", "chosen": " b", "rejected": " c", "completion": " b", "label": True}] * 2)
PAIRED = ROWS.remove_columns(["completion", "label"])


def split(example: Example) -> tuple[list[int], list[int]]:
    """Prompt and answer; every token of the answer is learned, and no other. What a template puts behind it is cut."""
    first, end = example.where[0] + 1, example.where[-1] + 2
    assert example.where == tuple(range(first - 1, end - 1)), "an answer in one piece"
    return list(example.ids[:first]), list(example.ids[first:end])


def settings(folder: Path) -> dict[str, Any]:
    """Of every trainer: the CPU, float32, nothing written or told."""
    return {
        "output_dir": str(folder), "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": [],
        "per_device_train_batch_size": 2, "max_length": 4096,
    }  # fmt: skip


@contextmanager
def plain(model: Any) -> Iterator[Any]:
    """The model as it was: a trainer gives it another forward pass, of which a second one must know nothing."""
    yield model
    model.__dict__.pop("forward", None)


class Trl:
    """TRL's losses of pairs (`chosen`: the preferred answer first) on one model, held against `first`, the reference.

    model: transformers' own, as `tiny.reference` loads it.
    """

    def __init__(self, model: Any, first: Any, folder: Path, out: Path) -> None:
        self.model, self.first = model, first
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.given = settings(out)

    def _trainer(self, kind: Any, config: Any, rows: Dataset = PAIRED, **more: Any) -> Any:
        return kind(
            model=self.model,
            args=config,
            train_dataset=rows,
            processing_class=self.tokenizer,
            **more,
        )

    def dpo(self, chosen: Sequence[Example], variant: str) -> Tensor:
        """DPOTrainer's loss of that type."""
        config = DPOConfig(**self.given, loss_type=[variant], beta=0.1)
        with plain(self.model), plain(self.first):
            trainer = self._trainer(DPOTrainer, config, ref_model=self.first)
            rows = []
            for good, bad in zip(chosen[::2], chosen[1::2], strict=True):
                (prompt, a), (same, b) = split(good), split(bad)
                assert prompt == same
                rows.append({"prompt_ids": prompt, "chosen_ids": a, "rejected_ids": b})
            found: Tensor = trainer.compute_loss(self.model, trainer.data_collator(rows))
            return found

    def _sides(self, trainer: Any, chosen: Sequence[Example]) -> Mapping[str, Tensor]:
        """A batch as CPOTrainer and ORPOTrainer read it."""
        rows = []
        for pair in zip(chosen[::2], chosen[1::2], strict=True):
            row: dict[str, list[int]] = {}
            for side, example in zip(("chosen", "rejected"), pair, strict=True):
                prompt, answer = split(example)
                row |= {
                    f"{side}_input_ids": prompt + answer,
                    f"{side}_attention_mask": [1] * len(prompt + answer),
                    f"{side}_labels": [-100] * len(prompt) + answer,
                }
            rows.append(row)
        batch: Mapping[str, Tensor] = trainer.data_collator(rows)
        return batch

    def simpo(self, chosen: Sequence[Example]) -> Tensor:
        """SimPO is a loss type of CPOTrainer, without the likelihood that CPO adds."""
        config = CPOConfig(**self.given, loss_type="simpo", cpo_alpha=0.0, beta=2.0, simpo_gamma=1.0)
        trainer = self._trainer(CPOTrainer, config)
        found: Tensor = trainer.compute_loss(self.model, self._sides(trainer, chosen))
        return found

    def orpo(self, chosen: Sequence[Example]) -> Tensor:
        """ORPOTrainer's odds of the answers, and their likelihood as CPOTrainer has it: of the answers alone.

        ORPOTrainer's own likelihood is of the prompts, too, where the paper has the answer given the prompt.
        """
        trainer = self._trainer(ORPOTrainer, ORPOConfig(**self.given, beta=0.1))
        beside = self._trainer(CPOTrainer, CPOConfig(**self.given, loss_type="simpo", cpo_alpha=1.0))
        good, bad, *_ = trainer.concatenated_forward(self.model, self._sides(trainer, chosen))
        likelihood = beside.concatenated_forward(self.model, self._sides(beside, chosen))[4]
        found: Tensor = likelihood - trainer.odds_ratio_loss(good, bad)[0].mean()
        return found

    def orpo_whole(self, chosen: Sequence[Example]) -> Tensor:
        """ORPOTrainer's loss, which learns the prompts, too."""
        trainer = self._trainer(ORPOTrainer, ORPOConfig(**self.given, beta=0.1))
        found: Tensor = trainer.compute_loss(self.model, self._sides(trainer, chosen))
        return found

    def kto(self, chosen: Sequence[Example], mates: Sequence[Example], good: Sequence[bool], weight: float) -> Tensor:
        """KTOTrainer's loss; a good answer counts `weight`. mates: each example's prompt with an answer to another."""
        config = KTOConfig(**self.given, beta=0.1, desirable_weight=weight)
        with plain(self.model), plain(self.first):
            rows = ROWS.remove_columns(["chosen", "rejected"])
            trainer = self._trainer(KTOTrainer, config, rows, ref_model=self.first)
            batch = []
            for example, mate, label in zip(chosen, mates, good, strict=True):
                (prompt, answer), (same, other) = split(example), split(mate)
                assert prompt == same
                row = {"prompt_ids": prompt, "completion_ids": answer, "KL_completion_ids": other, "label": label}
                batch.append(row)
            found: Tensor = trainer.compute_loss(self.model, trainer.data_collator(batch))
            return found


def reward_model(folder: Path, backbone: Mapping[str, Tensor], row: Tensor) -> Any:
    """transformers' classifier with that backbone and one number a text: `row` (1, d) times the last state."""
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, attn_implementation="sdpa")
    missing, _ = model.base_model.load_state_dict(backbone, strict=False)
    assert not missing
    with torch.no_grad():
        model.score.weight.copy_(row)
    return model.eval()


def reward(model: Any, chosen: Sequence[Example], margin: float, folder: Path, out: Path) -> Tensor:
    """RewardTrainer's loss of pairs with that margin, on a classifier of one label."""
    config = RewardConfig(**settings(out))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    trainer = RewardTrainer(model=model, args=config, train_dataset=PAIRED, processing_class=tokenizer)
    rows = [
        {"chosen_ids": list(a.ids), "rejected_ids": list(b.ids), "margin": margin}
        for a, b in zip(chosen[::2], chosen[1::2], strict=True)
    ]
    found: Tensor = trainer.compute_loss(model, trainer.data_collator(rows))
    return found


def models(folder: Path, policy: Mapping[str, Tensor]) -> tuple[Any, Any]:
    """The policy with those weights, and the reference, both as transformers runs them."""
    model, first = tiny.reference(folder), tiny.reference(folder)
    model.load_state_dict(policy, strict=False)
    return model, first
