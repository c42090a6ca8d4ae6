"""`luthier prompt`: a search from the command line, its files, where its template goes, and what goes wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from commands import said
from fake_server import Reply, serving
from fake_server import said as answer
from luthier.api import load
from luthier.core.errors import LuthierError
from luthier.direct.wording_search.log import read_log
from luthier.io.files import read_json

ROWS = [("where is the box", "delivery"), ("no courier came", "delivery"), ("pay me back", "refund"),
        ("退款在哪里", "refund"), ("lost my password", "access"), ("cannot log in", "access")] * 4  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    rows = [{"text": f"{text} {i}", "label": label} for i, (text, label) in enumerate(ROWS)]
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def found(tiny_folder: Callable[[str], Path], data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("search")
    mine = folder / "mine.txt"
    mine.write_text("Topic of '{input}':\n<b>{input</b>\nno place\n", encoding="utf-8")
    run = folder / "run"
    text = said("prompt", "search", data, "--model", tiny_folder("llama_tied"), "--templates", mine, "--calls", "70",
                "--rounds", "2", "--write", "2", "--beside", "2", "--out", run)  # fmt: skip
    return run, text


def test_search_says_what_it_found_and_left_out(found: tuple[Path, str]) -> None:
    run, text = found
    best = read_json(run / "template.json")
    assert f"Best wording: {best['text']!r}" in text and "held-out rows that the search never saw" in text
    assert "mine.txt:2: the brace at character 4 is never closed" in text and "mine.txt:3: it has no {input}" in text
    tests = {line for line in (run / "search.jsonl").read_text(encoding="utf-8").splitlines() if '"best"' in line}
    assert len(tests) == 1 and best["rows"] == json.loads(tests.pop())["rows"]


def test_pages_are_whole_and_nothing_in_them_is_html(found: tuple[Path, str]) -> None:
    """Seen failing with wordings put into the page as they are."""
    run, _ = found
    page, sheet = ((run / name).read_text(encoding="utf-8") for name in ("search.html", "wordings.html"))
    events = read_log(run / "search.jsonl")
    made = [e for e in events if e["event"] == "candidate"]
    assert page.count("<li") >= len(made) and "&lt;b&gt;{input&lt;/b&gt;" in page and "<b>{input</b>" not in page
    assert page.count('class="best"') == 1 and "<svg" in page and page.count("<script") == 2
    children = [e for e in made if e["parent"] is not None]
    for e in children:  # a child's item stands inside its parent's
        start = page.index(f"wording {e['parent']}, round")
        assert page.index(f"wording {e['id']}, round") > start
    assert len(re.findall(r'type="radio"', sheet)) == 2 * len(re.findall(r"data-votes=", sheet)) > 4
    assert "script-src 'sha256-" in sheet and sheet.count("<script>") == 1


def test_the_template_is_used_elsewhere(found: tuple[Path, str], data: Path, tmp_path: Path) -> None:
    run, _ = found
    said("predict", run, data, "--out", tmp_path / "out.csv")
    other = tmp_path / "other.json"
    other.write_text('{"text": "{input}\\nWhich of {labels}?", "chat": false}')
    said("eval", run, data, "--template", other)
    assert read_json(run / "evaluations" / "rows-other.json")["rows"] == len(ROWS)
    assert load(run, template=other).lm.template.text.endswith("{labels}?")  # type: ignore[attr-defined]
    for method in ("zero_shot", "few_shot", "head"):
        recipe = ["method=" + method, f"data.path={data}", f"model={read_recipe_model(run)}", "dtype=float32"]
        more = {"zero_shot": [], "few_shot": ["direct.k=2"], "head": ["training.tokens=300"]}[method]
        said("train", *recipe, *more, "--template", other, "--out", tmp_path / method)
        kept = read_json(next((tmp_path / method).glob("*/luthier.json")))["template"]
        assert kept["text"] == "{input}\nWhich of {labels}?", method
    with pytest.raises(LuthierError, match="come from no wording"):
        load(tmp_path / "head", template=other)
    for method in ("features", "retrieval"):  # seen failing: the file was not looked at
        with pytest.raises(LuthierError, match="it puts its input into no wording: leave out --template"):
            said("train", f"method={method}", *recipe[1:], "--template", other, "--out", tmp_path / method)
    other.write_text('{"text": "{input"}')
    with pytest.raises(LuthierError, match=r"other.json: the brace at character 1 is never closed"):
        said("train", *recipe, "--template", other, "--out", tmp_path / "broken")


def read_recipe_model(run: Path) -> str:
    from luthier.io.config import run_recipe

    return run_recipe(run).model


def test_robust(found: tuple[Path, str]) -> None:
    run, _ = found
    text = said("prompt", "robust", run, "--draws", "1", "--rows", "4")
    result = read_json(run / "robust.json")
    assert [c["kind"] for c in result["changes"]][-1] == "all" and "all kinds together: " in text
    assert result["rows"] == 4 and "<table" in (run / "robust.html").read_text(encoding="utf-8")


def test_compress(tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.txt"
    long.write_text("Where is my parcel? It was sent twelve days ago.\n退款还没有到。\n" * 3, encoding="utf-8")
    model = tiny_folder("llama_tied")
    text = said("prompt", "compress", long, "--model", model, "--keep", "0.5", "--out", tmp_path / "short.txt")
    kept, whole = map(int, re.findall(r"(\d+) of (\d+) tokens kept", text)[0])
    assert kept <= whole / 2 and "�" not in (tmp_path / "short.txt").read_text(encoding="utf-8")
    page = tmp_path / "curve.html"
    text = said("prompt", "compress", data, "--curve", "0.7,0.4", "--model", model, "--rows", "4", "--out", page)
    assert "70% kept, at random" in text and page.exists() and len(read_json(page.with_suffix(".json"))["points"]) == 4
    for wrong, why in ((["--keep", "0"], "--keep 0"), (["--curve", "2"], "shares between"), ([], "no such text file")):
        with pytest.raises(LuthierError, match=why):
            said("prompt", "compress", tmp_path / "none.txt" if not wrong else long, "--model", model, *wrong)


def test_an_endpoint_writes_fails_and_talks_nonsense(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proposer gives one wording, then braces, then silence: all named, and the search ends well."""
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))

    def decide(path: str, body: dict[str, Any], before: int) -> Reply:
        if before == 0:
            return answer("Instruction: Name the topic of the message.")
        return answer("{ } {") if before == 1 else Reply({}, wait=5.0)

    with serving(decide) as server:
        text = said("prompt", "search", data, "--model", tiny_folder("llama_tied"), "--proposer", f"{server.url}#fake",
                    "--endpoint", "timeout=0.3,retries=0", "--calls", "90", "--rounds", "2", "--write", "3",
                    "--beside", "0", "--out", tmp_path / "run")  # fmt: skip
    events = read_log(tmp_path / "run" / "search.jsonl")
    written = [e for e in events if e.get("source") == "written"]
    assert [e["event"] for e in written] == ["candidate", "dropped"]
    assert written[0]["text"] == "Name the topic of the message.\n\n{input}"
    assert "no answer within 0.3 s" in text and "failures: 2" in text and events[-1]["event"] == "best"


def test_a_base_behind_an_address_that_dies_can_be_taken_up_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is half-written, and the same command goes on, though the machine now measures otherwise.

    Seen failing with the recipe removed after the error, and with the number format measured anew.
    """
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    dead = [True]
    monkeypatch.setattr(
        "luthier.models.machine.product_rates", lambda: {"float32": 1.0, "bfloat16": 1.0 if dead[0] else 9.0}
    )

    def decide(path: str, body: dict[str, Any], before: int) -> Reply:
        return Reply(b"<html>busy</html>", 200) if dead[0] and before > 5 else answer("refund")

    with serving(decide) as server:
        command = (
            "prompt", "search", data, "--model", f"{server.url}#fake", "--endpoint", "retries=0", "--calls", "40",
            "--rounds", "1", "--write", "0", "--beside", "1", "--out", tmp_path / "run",
        )  # fmt: skip
        with pytest.raises(LuthierError, match="half an answer, or none in JSON"):
            said(*command)
        assert not (tmp_path / "run" / "template.json").exists() and not list((tmp_path / "run").glob("*.tmp"))
        dead[0] = False
        said(*command)
    assert tiny.LABELLED and read_json(tmp_path / "run" / "template.json")["measure"] == "Accuracy, %"
