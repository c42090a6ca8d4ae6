"""The sections of a recipe: data, training, several processes, an endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from luthier.core.errors import LuthierError
from luthier.io.pair import check_pair


@dataclass(frozen=True)
class AlsoConfig:
    """One more file to learn from together with the first. Its fields: as in data."""

    path: str
    test: str | None = None
    map: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    instruction: str | None = None
    encoding: str = ""
    fill: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DataConfig:
    """Where rows come from. path: a file, or "tickets" (embedded). map: column -> field. labels: raw value -> name.

    metric: the score that decides (see `luthier.evals.metrics`); "" is the task's own. docs: a folder of documents
    that the questions are about. also: files of other tasks (or their paths) to learn at once, all as conversations;
    limit and limit_test hold for each file. encoding: of text files that are not UTF-8, such as gb18030; "" is the one
    that fits. fill: name -> what stands for `{{name}}` in all texts. anyway: go on where there is nothing to learn:
    answers all the same, empty or marks, a hopeless mapping. pair: two files of lines instead of path; the second
    answers the first. answer_tokens: of a written answer, at most. class_weights: balanced: each label weighs as much.
    stream: a folder of tokens that `luthier corpus mix` wrote, which are trained on in place of rows; all rows of path
    are held out then.
    """

    path: str = "tickets"
    test: str | None = None
    map: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    instruction: str | None = None
    metric: str = ""
    docs: str | None = None
    skip_bad: bool = False
    limit: Annotated[int, Ge(1)] | None = None
    limit_test: Annotated[int, Ge(1)] | None = None
    split_seed: int = 0
    train_rows: Annotated[int, Ge(1)] | None = None  # learn from the first so many rows of the training part
    also: tuple[AlsoConfig, ...] = ()
    encoding: str = ""
    fill: dict[str, str] = field(default_factory=dict)
    anyway: bool = False
    pair: tuple[str, ...] = ()
    answer_tokens: Annotated[int, Ge(1)] | None = None
    class_weights: Literal["", "balanced"] = ""
    stream: str = ""

    def __post_init__(self) -> None:
        """A pair of files is known by the first of them."""
        if self.pair:
            check_pair(self.pair, self.path, {"map": self.map, "labels": self.labels, "also": self.also})
            object.__setattr__(self, "path", self.pair[0])


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how a run learns.

    early_stop: end after that many looks at the validation rows without a better loss, and keep the best weights.
    evaluate_every: between two looks, a share of the budget (below 1) or steps; a tenth when only early_stop is given.
    optimizer: adamw or muon; "" is adamw. schedule: cosine, wsd (at the peak until the last `decay` of the budget) or
    constant; "" is the objective's own. keep_checkpoints: the newest so many stay while a run goes on.
    """

    tokens: Annotated[int, Ge(1)] = 100_000
    epochs: Annotated[float, Gt(0), Lt(inf)] | None = None
    batch: Annotated[int, Ge(1)] = 8
    learning_rate: Annotated[float, Ge(0), Lt(inf)] | None = None
    warmup: Annotated[float, Ge(0), Le(1)] = 0.05
    clip: Annotated[float, Ge(0), Lt(inf)] = 1.0
    micro_tokens: Annotated[int, Ge(1)] = 1024
    checkpoint_seconds: Annotated[float, Ge(0)] = 60.0
    early_stop: Annotated[int, Ge(1)] | None = None
    evaluate_every: Annotated[float, Gt(0), Lt(inf)] | None = None
    optimizer: str = ""
    schedule: Literal["", "cosine", "wsd", "constant"] = ""
    decay: Annotated[float, Gt(0), Le(1)] = 0.2
    keep_checkpoints: Annotated[int, Ge(1)] = 2


@dataclass(frozen=True)
class ParallelConfig:
    """How many processes, started by torchrun, train one model: the product of all.

    data: share out the examples of a step, and keep a part of every weight each; replicate: copies of the weights among
    them, 1 where each number is kept once. tensor: have a part of every matrix in a block. pipeline: have some of the
    blocks each; interleave: in so many pieces, which wait less for each other and exchange more.
    """

    data: Annotated[int, Ge(1)] = 1
    tensor: Annotated[int, Ge(1)] = 1
    pipeline: Annotated[int, Ge(1)] = 1
    replicate: Annotated[int, Ge(1)] = 1
    interleave: Annotated[int, Ge(1)] = 1

    def __post_init__(self) -> None:
        """Copies are of equally many ranks."""
        if self.data % self.replicate:
            raise LuthierError(
                f"parallel.replicate: {self.replicate} copies do not part {self.data} ranks (data) evenly"
            )

    @property
    def size(self) -> int:
        """Processes."""
        return self.data * self.tensor * self.pipeline


@dataclass(frozen=True)
class EndpointConfig:
    """What may be asked of a model behind a URL. None: no limit.

    max_calls: requests sent, retries included. max_cost: in the currency of the prices, which are for 1,000 tokens.
    timeout: seconds for one answer. retries: after 429, a server's error or silence. parallel: requests at a time.
    context: the longest prompt with its answer, in tokens. classify: "answer" asks for the label and reads the answer;
    "logprobs" compares the labels' log-probabilities, where the endpoint gives them.
    """

    max_calls: Annotated[int, Ge(0)] | None = None
    max_cost: Annotated[float, Ge(0), Lt(inf)] | None = None
    price_in: Annotated[float, Ge(0), Lt(inf)] = 0.0
    price_out: Annotated[float, Ge(0), Lt(inf)] = 0.0
    timeout: Annotated[float, Gt(0), Lt(inf)] = 60.0
    retries: Annotated[int, Ge(0)] = 5
    parallel: Annotated[int, Ge(1)] = 4
    context: Annotated[int, Ge(1)] = 4096
    classify: Literal["answer", "logprobs"] = "answer"
