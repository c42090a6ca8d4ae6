"""`luthier corpus`: files to clean text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from luthier.cli import collect, mixing
from luthier.cli.common import add_group, resumable
from luthier.cli.pooling import Inputs, Lines, OnRay, Out, Workers, bar, located, pool_of
from luthier.corpus import check_installed

ABOUT = """Collect, read, filter and deduplicate text, and see what happened.

Example: luthier corpus run recipes/corpus.yaml --out clean
"""
RUN = """From files to clean text by a recipe: every stage, what it dropped and why.

A recipe names files and stages (language, filter, exact, near, substrings, …). Each stage's outcome is kept and used
again: a changed recipe begins where it differs, a killed one where it was. DIR/kept/ has the documents (Parquet: id,
text, source, path, kind, language, licence), DIR/dropped/ the others with their reasons, DIR/funnel.json the numbers,
DIR/report.html all of it as a page. A recipe of Data-Juicer runs by --from data-juicer, as far as it maps; what does
not is said.

Example: luthier corpus run recipes/corpus.yaml --out clean
"""
READ = """Files and folders as documents: text, Markdown, PDF, Word, JSON Lines, Parquet; packed ones, too.

What cannot be read is counted and named: in = kept + dropped.

Example: luthier corpus read docs/ --out read
"""
FILTER = """Documents judged by rules, each by the preset of its language, or by --rules for all.

RULES is a preset (gopher, c4, fineweb, chinese, code, within) or a file of rules over signals.

Example: luthier corpus filter docs/ --out filtered
"""
DEDUP = """Documents that are there twice: the same, then nearly the same (MinHash); of each group the best one stays.

Example: luthier corpus dedup docs/ --out unique
"""
DECONTAMINATE = """Documents without rows of test sets, which are found by 13 words in a row.

TEST is a file of rows or texts, the folder of a comparison, or a set inside the package (`luthier data sets`).
DIR/found/ and the page quote every match.

Example: luthier corpus decontaminate docs/ --against test.jsonl --out clean
"""
PRIVACY = """Documents with placeholders in place of private data: [PHONE_1], the same for the same number.

Phones, e-mails, identity and card numbers, IPs, keys, QQ and WeChat ids, plates, passports, names, addresses, Chinese
and English. The page tells how many of each kind are found on sentences of ours, which is no promise for other text.

Example: luthier corpus privacy docs/ --out masked
"""
TUNE = """The histogram of a signal with documents just left and right of a threshold that is moved by hand, as a page.

--at line, paragraph or sentence looks at pieces. `luthier corpus tune --signals` lists what there is.

Example: luthier corpus tune docs/ --signal mean_word_length --out tune.html
"""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    add_group(app, "corpus", ABOUT, run=(RUN, run), read=(READ, read), filter=(FILTER, filter_), dedup=(DEDUP, dedup),
              decontaminate=(DECONTAMINATE, decontaminate),
              privacy=(PRIVACY, privacy), mix=(mixing.MIX, mixing.mix), weigh=(mixing.WEIGH, mixing.weigh),
              tune=(TUNE, tune), collect=(collect.HELP, collect.collect))  # fmt: skip


def run(
    recipe: Annotated[Path, typer.Argument(help="recipe.yaml")], out: Out = Path("corpus"), workers: Workers = 0,
    ray: OnRay = "",
    of: Annotated[str, typer.Option("--from", help="whose recipe it is: data-juicer; ours unless given")] = "",
) -> None:  # fmt: skip
    """All stages of a recipe."""
    check_installed()
    from luthier.core.errors import LuthierError
    from luthier.corpus import data_juicer
    from luthier.corpus.recipe import read_pipeline

    if of not in ("", "data-juicer"):
        raise LuthierError(f"--from {of}: data-juicer, or nothing for a recipe of Luthier")
    if not of:
        _run(read_pipeline(recipe), out, workers, ray)
        return
    found = data_juicer.read(recipe)
    for sentence in found.told:
        print(sentence)
    if found.left:
        print(f"left out, not known here: {', '.join(found.left)}")
    _run(found.pipeline, out, workers, ray)


def read(inputs: Inputs, out: Out = Path("read"), workers: Workers = 0, ray: OnRay = "", lines: Lines = False) -> None:
    """Reading alone."""
    check_installed()
    from luthier.corpus.recipe import Pipeline

    _run(Pipeline(tuple(inputs), (), lines), out, workers, ray)


def filter_(
    inputs: Inputs, out: Out = Path("filtered"),
    rules: Annotated[str, typer.Option(help="a preset or a file of rules")] = "", workers: Workers = 0, ray: OnRay = "",
    lines: Lines = False,
) -> None:  # fmt: skip
    """Reading, languages and rules."""
    check_installed()
    from luthier.corpus.recipe import Pipeline, stage_of

    named: Any = {"filter": {"rules": rules}} if rules else "filter"
    stages = (stage_of({"language": {"least": 0.0}}), stage_of(named))
    _run(Pipeline(tuple(inputs), stages, lines), out, workers, ray)


def dedup(
    inputs: Inputs, out: Out = Path("unique"), workers: Workers = 0, ray: OnRay = "", lines: Lines = False
) -> None:
    """Reading, exact and near duplicates."""
    check_installed()
    from luthier.corpus.recipe import Pipeline, stage_of

    _run(Pipeline(tuple(inputs), (stage_of("exact"), stage_of("near")), lines), out, workers, ray)


def decontaminate(
    inputs: Inputs,
    against: Annotated[list[str], typer.Option(help="a test set; may be given again", metavar="TEST")],
    do: Annotated[str, typer.Option(help="cut sentences, or drop documents")] = "cut",
    out: Out = Path("decontaminated"), workers: Workers = 0, ray: OnRay = "", lines: Lines = False,
) -> None:  # fmt: skip
    """Reading, and what test sets have in common with it."""
    check_installed()
    from luthier.corpus.recipe import Pipeline, stage_of

    stage = stage_of({"decontaminate": {"against": against, "do": do}})
    _run(Pipeline(tuple(inputs), (stage,), lines), out, workers, ray)


def privacy(
    inputs: Inputs,
    kinds: Annotated[str, typer.Option(help="those that are masked, with commas; all unless given")] = "",
    model: Annotated[str, typer.Option(help="a folder of a token classifier for names and addresses")] = "",
    quote: Annotated[bool, typer.Option("--quote", help="keep what was found, word for word, in DIR/found")] = False,
    out: Out = Path("masked"), workers: Workers = 0, ray: OnRay = "", lines: Lines = False,
) -> None:  # fmt: skip
    """Reading, and placeholders for private data."""
    check_installed("stdnum", "phonenumbers", extra="privacy")
    from luthier.corpus.privacy.finding import KINDS
    from luthier.corpus.recipe import Pipeline, stage_of

    chosen = [kind.strip().upper() for kind in kinds.split(",") if kind.strip()] or list(KINDS)
    stage = stage_of({"privacy": {"kinds": chosen, "model": model, "quote": quote}})
    _run(Pipeline(tuple(inputs), (stage,), lines), out, workers, ray)


def tune(
    inputs: Annotated[
        list[Path] | None, typer.Argument(help="files, folders, addresses", metavar="IN", parser=located)
    ] = None,
    signal: Annotated[str, typer.Option(help="of documents, or of pieces")] = "words",
    at: Annotated[str, typer.Option(help="document, paragraph, line or sentence")] = "document",
    threshold: Annotated[float | None, typer.Option(help="where it begins; the median unless given")] = None,
    out: Annotated[Path, typer.Option(help="the page")] = Path("tune.html"),
    signals: Annotated[bool, typer.Option("--signals", help="list the signals")] = False,
) -> None:
    """A threshold chosen by looking."""
    check_installed()
    from luthier.core.errors import LuthierError
    from luthier.corpus import signals as known
    from luthier.corpus.tune import valued
    from luthier.reports.corpus.tune_page import write_page
    from luthier.reports.plain_page import both

    if signals:
        for (level, name), found in sorted(known.known().items(), key=lambda item: known.LEVELS.index(item[0][0])):
            print(f"{level}  {name}: {found.about}")
        return
    if not inputs:
        raise LuthierError("name files or folders, or --signals")
    seen = valued(inputs, signal, at)
    about = known.find(at, signal).about
    title, said = both(f"{signal} of each {at}", f"{signal}（{at}）"), both(about, about)
    print(f"{len(seen):,} values from {min(s.value for s in seen):.4g} to {max(s.value for s in seen):.4g}")
    print(f"Page: {write_page(out, title, said, seen, threshold)}")


def _run(pipeline: Any, out: Path, workers: int, ray: str) -> None:
    from luthier.corpus.recipe import run_pipeline
    from luthier.reports.corpus.page import write_page

    for stage in pipeline.stages:
        for note in stage.notes:
            print(f"{stage.name}: {note}")
    with resumable(), pool_of(workers, ray, out, *pipeline.input) as pool:
        funnel = run_pipeline(pipeline, out, pool, bar)
        page = write_page(out, funnel)
    for line in told(funnel):
        print(line)
    for stage, outcome in zip(pipeline.stages, funnel[1:], strict=True):
        for note in stage.said(outcome):
            print(f"{stage.name}: {note}")
    print(f"Documents: {out / 'kept'}")
    print(f"Report: {page}")


def told(funnel: list[dict[str, Any]]) -> list[str]:
    """The funnel in lines."""
    lines = []
    for stage in funnel:
        lines.append(
            f"{stage['stage']}: {stage['in']:,} in, {stage['kept']:,} kept, {stage['dropped']:,} dropped; "
            f"{stage['bytes_kept'] / 1e6:,.3g} of {stage['bytes_in'] / 1e6:,.3g} MB, about {stage['tokens']:,} tokens"
            + ("" if stage["perplexity"] is None else f", perplexity {stage['perplexity']:,.4g}")
        )
        for what in ("reasons", "changed"):
            most = sorted(stage[what].items(), key=lambda item: -item[1])
            if most:
                word = "dropped" if what == "reasons" else "cut in"
                lines.append(f"  {word}: " + ", ".join(f"{name} {count:,}" for name, count in most))
    return lines
