"""What the commands `luthier prompt robust` and `luthier prompt compress` do, without the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.split import Split
from luthier.data.prompts import Template
from luthier.io.config import DataConfig, EndpointConfig, Recipe, run_recipe
from luthier.models.base import TrainableLM

Say = Callable[[int, int], None]


def measured(
    run: Path, template: Path | None, rows: int, draws: int, proposer: str, limits: EndpointConfig, seed: int, say: Say
) -> tuple[Template, dict[str, Any]]:
    """The wording of a run and how sure it is, on validation rows. Raises LuthierError where it has no wording."""
    from luthier.data.load import load_split
    from luthier.data.templates.files import shared_instruction
    from luthier.direct.wording_search import proposer as writing
    from luthier.evals.wording import reworded
    from luthier.models.loading.of_recipe import load_base
    from luthier.prompt_search import robust
    from luthier.runs.loaded import load_run

    recipe = run_recipe(run)
    data, _ = load_split(recipe.data, run / "rejected.jsonl")
    judged = (data.validation or data.train)[:rows]
    base = load_base(recipe)
    lm: Any = load_run(run, base)
    lm = reworded(lm, template) if template else lm
    worded = getattr(lm, "template", None)
    if worded is None or getattr(lm, "label_head", None) is not None:
        raise LuthierError(f"{run}: this run's answers come from no wording")
    failed: list[str] = []
    instruction = shared_instruction(data)
    writer = writing.Proposer(writing.load(proposer, base, limits), data, instruction, seed)
    found = list(robust.variants(worded, data, judged, draws, seed, writer, failed))
    seen = Split(data.task, data.train, (), (), data.labels, data.metric)
    result = robust.measure(lm, seen, judged, found, say, failed)
    return worded, result | {"failed": failed}


def shares(text: str) -> list[float]:
    """[0.8, 0.5] of "0.8,0.5": above 0 and below 1."""
    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = []
    if not found or not all(0 < share < 1 for share in found):
        raise LuthierError(f"--curve {text}: write shares between 0 and 1 by comma, such as 0.8,0.5,0.3")
    return sorted(set(found), reverse=True)


def shortened(path: Path, keep: float, tokens: int | None, model: str, say: Say | None = None) -> tuple[str, int, int]:
    """The text of a file cut to its target, and its tokens before and after. say: gets the tokens that were read."""
    from luthier.data.encoding import document
    from luthier.models.loading.of_recipe import load_base
    from luthier.prompt_search.compress import compress

    if not 0 < keep <= 1:
        raise LuthierError(f"--keep {keep:g}: a share above 0 and at most 1")
    try:
        text, _ = document(path.read_bytes())
    except FileNotFoundError:
        raise LuthierError(f"{path}: there is no such text file (for data, give --curve 0.8,0.5,0.3)") from None
    except (OSError, LuthierError) as error:
        raise LuthierError(f"{path}: no text that can be read: {error}") from None
    lm = load_base(Recipe(model=model))
    if not isinstance(lm, TrainableLM):
        raise LuthierError(f"{model}: a server gives no information of its words: name a causal model with --model")
    lm.progress = say
    count = lambda t: len(lm.tokenizer(t, add_special_tokens=False)["input_ids"])  # noqa: E731
    whole = count(text)
    if not whole:
        raise LuthierError(f"{path}: is empty")
    short = compress(lm, text, min(tokens / whole, 1.0) if tokens else keep)
    return short, whole, count(short)


def plotted(
    path: str, keeps: list[float], rows: int, how: str, model: str, seed: int, page: Path, say: Say
) -> list[str]:
    """Quality by length on data that was not trained on by anyone, written as a page and JSON beside it."""
    from luthier.data.load import load_split
    from luthier.io.files import write_json
    from luthier.models.loading.of_recipe import load_base, trainable
    from luthier.reports.plain_page import both
    from luthier.reports.prompts import curve

    if how not in ("likelihood", "metric"):
        raise LuthierError(f"--score {how}: likelihood or metric")
    data, _ = load_split(DataConfig(path))
    if data.task not in ("classification", "generation"):
        raise LuthierError(f"{path}: is for {data.task}; give data with a text and a label, or an input and an output")
    judged = (*data.test, *data.validation, *data.train)[:rows]  # nothing is learned or chosen: any row serves
    result = curve.curve(trainable(load_base(Recipe(model=model))), data, judged, keeps, how, seed, say)
    name = Path(path).stem
    curve.write_page(page, both(f"{name}: quality against length", f"{name}：质量与长度"), result)
    write_json(page.with_suffix(".json"), result)
    first, *others = map(str, curve.spoken(result))
    return [first, *(f"  {line}" for line in others)]
