"""Which families of causal models work, and how: the table of docs/models.md.

    make bench NAME=families                    every family of bench/family_models.py, a line each; writes the table
    python bench/families.py --only "Gemma 2;BLOOM"

For each a small random model is written and loaded as Luthier loads any model. What stands against it is transformers'
plain forward pass over one text alone, attention written out. Checked are logits of texts alone and beside others,
likelihoods of answers, greedy decoding, a short LoRA training (the loss falls), the saved run read again, the merged
export read by transformers, and the adapter read by PEFT. Exits with 1 where one that is not refused differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from family_models import FAMILIES, QUESTIONS, build

CHECKS = ("logits", "likelihood", "decoding", "LoRA learns", "saved", "merged", "PEFT")
TABLE = Path(__file__).parent.parent / "docs" / "models.md"
MARK = "<!-- families -->"
LENGTHS = (21, 3, 12)


class Family:
    """One family: a folder with its model, and what is checked on it."""

    def __init__(self, name: str, folder: Path) -> None:
        from luthier.core.records import Chat, Message
        from luthier.core.split import Split
        from luthier.io.config import Recipe, TrainingConfig
        from luthier.models.loading.of_recipe import load_base

        self.name, self.work = name, folder
        self.folder = build(name, folder / "model")
        training = TrainingConfig(tokens=8000, batch=6, learning_rate=1e-2)
        self.recipe = Recipe(model=str(self.folder), dtype="float32", training=training, threads=1)
        rows = tuple(Chat((Message("user", q), Message("assistant", a))) for q, a in QUESTIONS)
        self.split = Split("generation", rows, rows)
        self.lm: Any = load_base(self.recipe)  # raises what it is refused with
        drawn = torch.randint(3, 300, (sum(LENGTHS),), generator=torch.Generator().manual_seed(1))
        self.texts = [part.tolist() for part in drawn.split(LENGTHS)]

    def plain(self, folder: Path | None = None, adapter: Path | None = None) -> Callable[[Sequence[int]], Tensor]:
        """Logits (n, V) of one text alone as transformers (and PEFT) give them."""
        import peft
        from transformers import AutoModelForCausalLM

        model: Any = AutoModelForCausalLM.from_pretrained(folder or self.folder, attn_implementation="eager").eval()
        model = peft.PeftModel.from_pretrained(model, adapter).eval() if adapter else model
        return torch.no_grad()(lambda ids: model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0])

    @torch.no_grad()
    def ours(self, lm: Any) -> list[Tensor]:
        """Logits of all texts in one pass."""
        ids = torch.tensor([t for text in self.texts for t in text])
        positions = torch.tensor([p for text in self.texts for p in range(len(text))])
        return list(lm.head.logits(lm.hidden(ids, positions, LENGTHS)).split(LENGTHS))

    def same(self, lm: Any, plain: Callable[[Sequence[int]], Tensor]) -> bool:
        """Whether the model says what plain transformers says, for every text."""
        return all(_close(got, plain(ids)) for got, ids in zip(self.ours(lm), self.texts, strict=True))

    def check(self) -> dict[str, bool | str]:
        """Every check by its name; what went wrong in words where it raised."""
        plain = self.plain()
        found: dict[str, bool | str] = {
            "logits": _tried(lambda: self.same(self.lm, plain)),
            "likelihood": _tried(lambda: self._likelihood(plain)),
            "decoding": _tried(lambda: self._decoding(plain)),
        }
        try:
            return found | self._trained()
        except Exception as error:
            return found | dict.fromkeys(CHECKS[3:], False) | {"LoRA learns": _said(error)}

    def _likelihood(self, plain: Callable[[Sequence[int]], Tensor]) -> bool:
        answers = [self.texts[1], self.texts[2][:5]]
        rows = [(text, answers) for text in self.texts]
        for (prompt, _), found in zip(rows, self.lm.continuations(rows), strict=True):
            for answer, got in zip(answers, found, strict=True):
                logits = plain([*prompt, *answer])[len(prompt) - 1 : -1].log_softmax(-1)
                if not _close(got, logits.gather(1, torch.tensor(answer)[:, None])[:, 0]):
                    return False
        return True

    def _decoding(self, plain: Callable[[Sequence[int]], Tensor]) -> bool:
        from luthier.core.records import Sampling
        from luthier.models.ends import Ends

        written = self.lm.runner.generate(self.lm, self.texts, Sampling(max_new_tokens=10), Ends(()))
        for ids, tokens in zip(self.texts, written, strict=True):
            for i, token in enumerate(tokens):
                logits = plain([*ids, *tokens[:i]])[-1]
                if float(logits.max() - logits[token]) > 1e-3 * float(logits.abs().max()):
                    return False
        return all(len(tokens) == 10 for tokens in written)

    def _trained(self) -> dict[str, bool | str]:
        from luthier.export.write import export_run
        from luthier.io import config
        from luthier.io.files import write_json, write_text
        from luthier.models.base import TrainableLM
        from luthier.runs import run
        from luthier.runs.loaded import load_run

        folder, found = self.work / "run", dict[str, bool | str]()
        with run.adapted(self.lm, self.recipe, self.split, cache=self.work / "cache") as outcome:
            loop, lm = outcome.loop, outcome.lm
            assert loop is not None and isinstance(lm, TrainableLM)
            after = loop.evaluate(loop.examples)
            with loop.patch.off(lm):
                before = loop.evaluate(loop.examples)
            found["LoRA learns"] = after < 0.7 * before or f"loss {before:.2f} to {after:.2f}"
            run.save_adapted(outcome, folder)
            said = self.ours(lm)
        write_text(folder / "recipe.yaml", config.to_yaml(self.recipe))
        write_json(folder / "eval.json", {"metric": "chrF", "score": 1.0, "per_row": [1.0], "answers": ["a"]})

        def saved() -> bool:
            return all(torch.equal(a, b) for a, b in zip(said, self.ours(load_run(folder)), strict=True))

        def agrees(plain: Callable[[Sequence[int]], Tensor]) -> bool:
            return all(_close(plain(ids), want) for ids, want in zip(self.texts, said, strict=True))

        def merged() -> bool:
            target = export_run(folder, "merged", None, "f32", lambda _: None, lambda _: None)
            return agrees(self.plain(target))

        found |= {"saved": _tried(saved), "merged": _tried(merged)}
        return found | {"PEFT": _tried(lambda: agrees(self.plain(adapter=folder / "adapter")))}


def _close(got: Tensor, want: Tensor) -> bool:
    return bool((got - want).abs().max() <= 2e-3 * want.abs().max())


def _tried(check: Callable[[], bool]) -> bool | str:
    try:
        return check()
    except Exception as error:
        return _said(error)


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def examine(name: str) -> tuple[str, dict[str, bool | str]]:
    """How a family is run and what every check came to; the reason and nothing where it is refused."""
    from luthier.core.errors import LuthierError

    with tempfile.TemporaryDirectory() as folder:
        try:
            family = Family(name, Path(folder))
        except LuthierError as error:
            reason = str(error).replace(f"{folder}/model: ", "")
            return f"refused: {reason}", {}
        return family.lm.runner.way, family.check()


def row(name: str, way: str, found: dict[str, bool | str]) -> str:
    """A line of the table."""
    cells = ["yes" if found[check] is True else "no" for check in CHECKS] if found else [""] * len(CHECKS)
    return f"| {name} | {way} | {' | '.join(cells)} |"


def main() -> None:
    """Examine, print, write."""
    parser = argparse.ArgumentParser(description="Which families of causal models work?")
    parser.add_argument("--only", default="", help="names, with semicolons between them")
    only = [name for name in parser.parse_args().only.split(";") if name]
    warnings.simplefilter("ignore")
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    lines, wrong = [], 0
    for name in only or FAMILIES:
        way, found = examine(name)
        lines.append(row(name, way, found))
        print(lines[-1], flush=True)
        for check, answer in found.items():
            if answer is not True:
                wrong += 1
                print(f"    {check}: {answer}", flush=True)
    if not only:
        head = [f"| family | way | {' | '.join(CHECKS)} |", f"|{'---|' * (len(CHECKS) + 2)}"]
        text = TABLE.read_text(encoding="utf-8")
        before, after = text[: text.index(MARK)], text[text.rindex(MARK) + len(MARK) :]
        said = f"transformers {transformers.__version__}, torch {torch.__version__}"
        table = "\n".join([MARK, "", f"Made with {said}.", "", *head, *lines, "", MARK])
        TABLE.write_text(before + table + after, encoding="utf-8")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
