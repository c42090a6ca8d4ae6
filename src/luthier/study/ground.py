"""What architectures are compared on: one text, one tokenizer, one stream; held-out passages; two tasks at once.

    documents --tokenizer, stream--> models of random weights --the loop--> zero-shot, then fine-tuned on both tasks

Each model is asked in the form that its objective taught it: one that filled gaps gets a gap to fill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from luthier.core import catalog, plugins
from luthier.core.errors import LuthierError
from luthier.core.records import Chat, Record
from luthier.core.split import Split
from luthier.data import token_files
from luthier.data.stream import Stream
from luthier.io.config import DataConfig, TrainingConfig, build
from luthier.models.loading.kinds import wrap
from luthier.training.attach import prepared
from luthier.training.context import Context

if TYPE_CHECKING:
    from luthier.core.progress import Report
    from luthier.models.base import TrainableLM
    from luthier.study.experiment import Arm

END, GAPS = "<|endoftext|>", 100
HALF, PASSAGES, WRONG = 64, 64, 3  # tokens of a half; passages; other passages' second halves beside the right one
TASKS = ("tickets", "mood")  # embedded, learned at once, all as text to text
TUNING = 0.15  # of a run's tokens, for the tasks
RATE = 1e-3  # of fine-tuning


@dataclass
class Ground:
    """folder: of tokenizer and stream. context: tokens of an example. tokens: of a run, fine-tuning included."""

    folder: Path
    held: Sequence[str]
    width: int
    context: int
    tokens: int
    batch: int
    rate: float
    say: Callable[[str, float], None] | None = None

    @cached_property
    def words(self) -> Any:
        """The tokenizer."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder)

    @cached_property
    def stream(self) -> Split:
        """What is learned from first."""
        return Split("text", (), (), (), stream=Stream(self.folder))

    @cached_property
    def tasks(self) -> list[Split]:
        """What is learned then, each by itself."""
        from luthier.data.load import load_split

        return [load_split(DataConfig(path=name))[0] for name in TASKS]

    @cached_property
    def passages(self) -> list[list[int]]:
        """Tokens of held-out text, twice HALF each, evenly spread."""
        ids = [i for text in self.held for i in self.words(text, verbose=False)["input_ids"]]
        found = [ids[at : at + 2 * HALF] for at in range(0, len(ids) - 2 * HALF + 1, 2 * HALF)]
        if len(found) <= WRONG:
            raise LuthierError(
                f"{len(ids)} tokens are held out, and zero-shot asks of {(WRONG + 1) * 2 * HALF} at least"
            )
        return found[:: max(len(found) // PASSAGES, 1)][:PASSAGES]

    def fresh(self, arm: Arm, seed: int) -> TrainableLM:
        """The arm's model with random weights."""
        from luthier.models.loading.load import auto_class
        from luthier.models.machine import device

        shape = plugins.members("shapes")[arm.facts["shape"]].load("config")
        end = self.words.eos_token_id
        ids = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
        made = shape(self.width, len(self.words), self.context, ids, arm.facts["blocks"])
        torch.manual_seed(seed)
        model = auto_class(made, arm.name).from_config(made, dtype=torch.float32)
        return wrap(model.to(device()), self.words, arm.name)

    def training(self, tokens: int, rate: float, **more: Any) -> TrainingConfig:
        """Of one of the two trainings."""
        return TrainingConfig(tokens, batch=self.batch, learning_rate=rate, micro_tokens=4096, **more)

    def train(
        self, lm: TrainableLM, objective: Any, data: Split, training: TrainingConfig, seed: int, what: str
    ) -> Any:
        """Train all weights, which stay as they became; gives what the loop did."""
        full = build(catalog.load(catalog.find("full", "patches")), {}, "patch")

        def hear(report: Report) -> None:
            if self.say:
                self.say(f"{what}, loss {report.loss:.3f}", report.progress)

        with prepared(Context(lm, data, seed), full, objective, training, say=hear) as ready:
            done = ready.loop.run()
            became = {n: p.detach().clone() for n, p in lm.model.named_parameters()}
        with torch.no_grad():
            for name, p in lm.model.named_parameters():
                p.copy_(became[name])
        return done

    def objective(self, arm: Arm) -> Any:
        """What the arm learns from plain text by."""
        entry = catalog.find(arm.facts["objective"], "objectives")
        return build(catalog.load(entry), {"max_length": self.context}, "objective")

    # -- zero-shot -----------------------------------------------------------------------------------------------

    def costs(
        self, lm: TrainableLM, gap: bool, pairs: Sequence[tuple[list[int], list[list[int]]]]
    ) -> list[list[float]]:
        """Nats of each continuation behind its beginning. gap: as what fills a gap at its end."""
        first = self.words.convert_tokens_to_ids("<extra_id_0>")
        rows = [([*a, first, self.words.eos_token_id], [[first, *b] for b in more]) if gap else (a, more)
                for a, more in pairs]  # fmt: skip
        return [[-float(v[int(gap) :].sum()) for v in found] for found in lm.continuations(rows)]

    def zero_shot(self, lm: TrainableLM, arm: Arm) -> dict[str, Any]:
        """bits: a byte of each passage's second half. chosen: 1 where it is told from three of other passages."""
        random, found = np.random.default_rng(0), self.passages
        others = [random.choice([i for i in range(len(found)) if i != at], WRONG, False) for at in range(len(found))]
        pairs = [(p[:HALF], [p[HALF:], *(found[i][HALF:] for i in wrong)])
                 for p, wrong in zip(found, others, strict=True)]  # fmt: skip
        costs = self.costs(lm, arm.facts["objective"] == "denoise", pairs)
        sizes = [
            len(str(self.words.decode(p)).encode()) - len(str(self.words.decode(p[:HALF])).encode()) for p in found
        ]
        return {
            "bits": [c[0] / np.log(2) / size for c, size in zip(costs, sizes, strict=True)],
            "chosen": [float(c[0] < min(c[1:])) for c in costs],
        }

    # -- fine-tuned ----------------------------------------------------------------------------------------------

    def tuned(self, lm: TrainableLM, seed: int) -> dict[str, Any]:
        """loss: -log p of each test row's right label among its task's, in nats. right: 1 where it is the likeliest."""
        from luthier.data.together import conversation

        def asked(rows: Sequence[Record], labels: Sequence[str]) -> list[Any]:
            return [conversation(row, labels) for row in rows]

        rows = tuple(chat for split in self.tasks for chat in asked(split.train, split.labels))
        sft = build(catalog.load(catalog.find("sft", "objectives")), {"max_length": self.context}, "objective")
        training = self.training(int(self.tokens * TUNING), RATE)
        self.train(lm, sft, Split("generation", rows, (), ()), training, seed, "tasks")
        loss, right = list[float](), list[float]()
        for split in self.tasks:
            chats: list[Chat] = asked(split.test, split.labels)
            pairs = [(chat.messages[:-1], label) for chat in chats for label in split.labels]
            told = torch.tensor([float(v.sum()) for v in lm.logprobs(pairs)]).view(len(chats), -1).log_softmax(-1)
            wanted = [split.labels.index(chat.messages[-1].content) for chat in chats]
            loss += [-float(told[at, k]) for at, k in enumerate(wanted)]
            right += [float(int(told[at].argmax()) == k) for at, k in enumerate(wanted)]
        return {"loss": loss, "right": right}


def laid(folder: Path, documents: Sequence[str], size: int) -> Path:
    """Tokenizer and stream of these documents in a folder, made once."""
    from luthier.corpus.tokenizers import training

    if (folder / token_files.ABOUT).exists():
        return folder
    special = (END, *(f"<extra_id_{at}>" for at in range(GAPS)))
    words = plugins.members("tokenizers")["bpe"].load("train")(iter(documents), size, special)
    training.save(words, folder, special)
    ends, ids = list[int](), list[int]()
    for text in documents:
        ids += [*words.encode(text, add_special_tokens=False).ids, words.token_to_id(END)]
        ends.append(len(ids))
    dtype = token_files.dtype_of(size)
    token_files.write_shard(folder, 0, np.array(ids), np.array(ends), dtype)
    about: Mapping[str, Any] = {"vocabulary": words.get_vocab_size(), "end": words.token_to_id(END)}
    token_files.finish(folder, 1, dtype, **about)
    return folder
