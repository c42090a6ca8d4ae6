"""Scores of an adapted model on rows of the task: one number a row, so that methods can be compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from luthier.data.prompts import answer_of, prompt_of
from luthier.protocols import LM, Labelled, Record, Sampling, Split, Task

METRIC: dict[Task, str] = {"classification": "accuracy", "generation": "chrF"}

NO_LABEL = ""


@dataclass
class Scores:
    """per_row: 0 or 1 (accuracy), or 0 to 100 (chrF of the sentence). answers: what the model said."""

    metric: str
    per_row: list[float]
    answers: list[str]
    secondary: dict[str, float] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """The mean over rows."""
        return sum(self.per_row) / len(self.per_row)


def evaluate(lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
    """Score the rows by the task's metric. rows must not be empty."""
    return classification(lm, rows, data.labels) if data.task == "classification" else generation(lm, data, rows)


def classification(lm: LM, rows: Sequence[Record], labels: Sequence[str]) -> Scores:
    """Accuracy and macro-F1 of the most likely label."""
    from sklearn.metrics import f1_score

    labelled = [r for r in rows if isinstance(r, Labelled)]
    found = lm.predict([r.text for r in labelled], labels)
    # a model that was asked for the label may have named none: that row has no label, and is wrong
    chosen = [labels[int(row.argmax())] if bool(row.isfinite().any()) else NO_LABEL for row in found]
    wanted = [r.label for r in labelled]
    names = sorted({*wanted, *chosen} - {NO_LABEL})
    f1 = float(f1_score(wanted, chosen, labels=names, average="macro", zero_division=0))
    per_row = [float(a == b) for a, b in zip(wanted, chosen, strict=True)]
    return Scores("accuracy", per_row, chosen, {"macro_f1": f1})


def answer_room(lm: LM, data: Split) -> int:
    """Tokens an answer may take: a fifth more than the longest answer in the training rows, 512 at most."""
    tokenizer = getattr(lm, "tokenizer", None)
    if tokenizer is None:
        return 256
    longest = max(len(tokenizer(answer_of(r), add_special_tokens=False)["input_ids"]) for r in data.train)
    return min(int(longest * 1.2) + 4, 512)


def generation(lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
    """chrF a row; exact match, corpus chrF and BLEU (sacrebleu) and held-out loss beside it."""
    from sacrebleu import corpus_bleu, corpus_chrf, sentence_chrf

    wanted = [answer_of(r) for r in rows]
    answers = lm.generate([prompt_of(r) for r in rows], Sampling(max_new_tokens=answer_room(lm, data)))
    per_row = [sentence_chrf(a, [w]).score for a, w in zip(answers, wanted, strict=True)]
    chinese = any("\u4e00" <= c <= "\u9fff" for w in wanted for c in w)
    exact = sum(a.strip() == w.strip() for a, w in zip(answers, wanted, strict=True)) / len(rows)
    secondary = {
        "exact_match": exact,
        "corpus_chrf": corpus_chrf(answers, [wanted]).score,
        "bleu": corpus_bleu(answers, [wanted], tokenize="zh" if chinese else "13a").score,
    }
    if "logprobs" in lm.can:
        found = lm.logprobs([(prompt_of(r), answer_of(r)) for r in rows])
        secondary["held_out_loss"] = -sum(float(t.sum()) for t in found) / max(sum(len(t) for t in found), 1)
    return Scores("chrF", per_row, answers, secondary)
