"""The pages: every command line in them parses, every link and file named exists, both READMEs say the same."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from luthier.cli import app
from luthier.core import catalog
from luthier.corpus.mixing.mix import read_mix
from luthier.corpus.recipe import read_pipeline as read_corpus
from luthier.io.config import read_recipe
from luthier.pretrain.recipe import read_recipe as read_pretraining
from luthier.rlhf.pipeline import read_pipeline

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """Lines of code blocks, and code within a sentence, that begin with `luthier` and an argument."""
    text = page.read_text("utf-8")
    lines = [line for _, block in BLOCK.findall(text) for line in block.splitlines()]
    lines += re.findall(r"`(luthier [^`]+)`", BLOCK.sub("", text))
    return [line.strip() for line in lines if line.strip().startswith("luthier ")]


def parse(command: str) -> None:
    """Parse a command line as the program does, without running it; an unknown option or argument raises."""
    words = shlex.split(command, comments=True)[1:]
    group = typer.main.get_command(app)
    outer = group.make_context("luthier", [*words], resilient_parsing=True)  # which takes what it reads off the list
    if all(word.startswith("--") for word in words):  # options of the program itself
        assert {*words} <= {name for option in group.params for name in option.opts}, f"there is no option {command}"
        return
    inner = group.get_command(outer, words[0])  # type: ignore[attr-defined]
    assert inner is not None, f"there is no command {words[0]}"
    if hasattr(inner, "commands") and len(words) > 1:  # a group, such as `luthier prompt search`
        words, outer = words[1:], inner.make_context(words[0], words[1:], parent=outer, resilient_parsing=True)
        inner = inner.commands.get(words[0])
        assert inner is not None, f"there is no command {command}"
    context = inner.make_context(words[0], words[1:], parent=outer)
    if context.params.get("methods"):
        # a page may name a method that it tells how to make
        known = {*catalog.methods(), "norms"}
        assert {name.partition("/")[0] for name in context.params["methods"].split(",")} <= known, command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_parses(page: Path) -> None:
    """Seen failing with `--limit-tests` in a page."""
    for command in commands(page):
        try:
            parse(command)
        except Exception as error:
            pytest.fail(f"{page.name}: {command}: {error}")


def test_a_wrong_command_does_not_parse() -> None:
    for wrong in (
        "luthier compare --limit-tests 3",
        "luthier evaluate x",
        "luthier --versoin",
        "luthier prompt searhc x",
        "luthier prompt search x --cals 3",
        "luthier compare --methods lora,lorra",
    ):
        with pytest.raises((Exception, AssertionError)):
            parse(wrong)
    assert sum(len(commands(page)) for page in PAGES) > 25


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
    for link in links:
        if not link.startswith("http") and link != "docs/report.png":  # the picture is made for a release
            assert (page.parent / link).exists(), f"{page.name}: {link}"
    mentioned = re.findall(r"`((?:src|docs|tests|recipes|patches)/[\w./]+\.\w+)`", page.read_text("utf-8"))
    for name in mentioned:
        found = (ROOT / name).exists() or (ROOT / "src/luthier" / name).exists()
        assert found or name.endswith("norms.py"), f"{page.name} names {name}"


def test_recipes_named_in_pages_are_read() -> None:
    for path in ROOT.glob("recipes/*.yaml"):
        text = path.read_text("utf-8")
        if "input:" in text:
            read_corpus(path)
        elif "sources:" in text:
            read_mix(path)
        elif "shape:" in text:
            read_pretraining(path)
        else:
            read_pipeline(path) if "stages:" in text else read_recipe(path)


def test_both_readmes_say_the_same() -> None:
    """Same headings in number, same commands and code, same table sizes, same numbers."""
    english, chinese = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))
    blocks = [[(kind, re.sub(r"#.*", "", block)) for kind, block in BLOCK.findall(text)] for text in (english, chinese)]
    strip = lambda found: [(kind, "\n".join(line.rstrip() for line in block.splitlines())) for kind, block in found]  # noqa: E731
    assert strip(blocks[0]) == strip(blocks[1])
    for mark in (r"^#+ ", r"^\|"):
        assert len(re.findall(mark, english, re.MULTILINE)) == len(re.findall(mark, chinese, re.MULTILINE)), mark
    codes = [sorted(set(re.findall(r"`([^`\n]+)`", BLOCK.sub("", text)))) for text in (english, chinese)]
    assert codes[0] == codes[1]
