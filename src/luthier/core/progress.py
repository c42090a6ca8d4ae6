"""What a long piece of work tells of itself while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass
class Report:
    """What a step tells: shown by the progress bar and written to metrics.jsonl."""

    step: int
    tokens: int
    loss: float
    learning_rate: float
    grad_norm: float
    tokens_per_second: float
    progress: float
    validation_loss: float | None = None
    metrics: Mapping[str, float] | None = None  # what the objective tells besides

    @property
    def words(self) -> str:
        """What a line of progress says of it."""
        if self.metrics and "reward" in self.metrics:
            reward, kl = self.metrics["reward"], self.metrics.get("kl", 0.0)
            return f"reward {reward:.3f}  KL {kl:.2f}  {self.tokens_per_second:.0f} tokens/s"
        skipped = int((self.metrics or {}).get("skipped", 0))
        more = f"  {skipped} skipped" if skipped else ""
        if self.metrics and (by := self.metrics.get("straggles_by")):
            more += f"  rank {self.metrics['straggler']:.0f} holds up the others ({by:.1f} times their work)"
        return f"loss {self.loss:.3f}  {self.tokens_per_second:.0f} tokens/s{more}"


class Searched(Report):
    """A round of a search without training: `loss` is what the best candidate's score lacks to 0."""

    @property
    def words(self) -> str:
        return f"round {self.step + 1}, best score {-self.loss:.3f}"
