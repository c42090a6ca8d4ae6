"""Which columns mean what, by their content: the hint is the mapping that fits, as a command that runs."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from luthier.core import command
from luthier.core.errors import LuthierError
from luthier.data.read import read
from luthier.data.task import read_table
from luthier.io.config import DataConfig

Write = Callable[[str, str | bytes], Path]
WORDS = ("food", "was", "good", "bad", "slow", "nice", "place", "again", "never", "friendly", "staff", "cold", "room")


@pytest.fixture(autouse=True)
def none_given() -> Iterator[None]:
    command.keep([])
    yield
    command.keep([])


def text(seed: int, words: int = 12) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def csv(header: str, *columns: list[str]) -> str:
    lines = [",".join(cells) for cells in zip(*columns, strict=True)]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


TEXTS = [text(i) for i in range(40)]
LONG = [text(i, 60) for i in range(100, 140)]
STARS = [str(i % 5 + 1) for i in range(40)]
TWO = ["negative" if i % 3 else "positive" for i in range(40)]
PRICES = [f"{i * 1.7 + 3:.2f}" for i in range(40)]
NUMBERS = [str(i) for i in range(40)]
CHINESE = [f"这家餐厅的菜真的很好吃，第{i}次来了" for i in range(40)]
FILES = [
    (csv("stars_given,body_text", STARS, TEXTS), "--map body_text=text,stars_given=label", "5 different values"),
    (csv("label,what", TEXTS, TWO), "--map label=text,what=label", "2 different values"),
    (csv("", NUMBERS, TEXTS, TWO), "--map 1=text,2=label", "first row looks like data"),
    (csv("", TWO, TEXTS), "--map 1=text,0=label", "first row looks like data"),
    (csv("ad,eur,nr", TEXTS, PRICES, NUMBERS), "--map ad=text,eur=value", '"eur" holds numbers'),
    (csv("用户评论,情感类型", CHINESE, TWO), "--map '用户评论=text,情感类型=label'", "2 different values"),
    (csv("情感,说法", ["好" if i % 2 else "坏" for i in range(40)], CHINESE), "--map '说法=text,情感=label'", "hold"),
    (csv("agent_response,customer_query", TEXTS, TEXTS[::-1]),
     "--map customer_query=question,agent_response=answer", "hold texts"),
    (csv("en,fr", TEXTS, TEXTS[::-1]),
     "--map en=input,fr=output --instruction 'Translate from English to French.'", "hold texts"),
    (csv("short_summary,article", TEXTS, LONG),
     "--map article=input,short_summary=output --instruction 'Summarize the text.'", "hold texts"),
    (csv("one,two", TEXTS, TEXTS[::-1]), "--map one=input,two=output --instruction ''", "what is to be done"),
    (csv("told,q,response", TEXTS, LONG, TEXTS[::-1]), "--map q=question,response=answer", "hold texts"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "hint", "why"), FILES, ids=[hint for _, hint, _ in FILES])
def test_the_hint_fits_and_runs(write: Write, content: str, hint: str, why: str) -> None:
    """Seen failing with the columns taken in their order, which told `stars_given=text,body_text=label`."""
    path = write("a.csv", content)
    with pytest.raises(LuthierError) as caught:
        read(path)
    said = str(caught.value)
    assert f"luthier compare {path} {hint}" in said and why in said
    words = shlex.split(hint)
    columns = dict(pair.split("=") for pair in words[1].split(","))
    table = read(path, columns=columns, instruction=words[3] if len(words) > 2 else None)
    assert not table.bad and len(table.records) == 40


def test_messages_under_another_name(write: Write) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    path = write("a.jsonl", "".join(json.dumps({"talk": turns, "nr": i}) + "\n" for i in range(12)))
    with pytest.raises(LuthierError, match=r"--map talk=messages"):
        read(path)


def test_a_file_that_tells_nothing_is_asked_about(write: Write) -> None:
    with pytest.raises(LuthierError, match=r"Say which is which: --map COLUMN=text,COLUMN=label"):
        read(write("a.csv", csv("a,b", NUMBERS, PRICES)))


def test_the_other_places_that_suggest_a_mapping(write: Write) -> None:
    """A label under another name, two ways to read, a table of one row, answers that are labels."""
    with pytest.raises(LuthierError, match=r"--map text=text,sentimnt=label\n.*--map text=text$"):
        read(write("a.csv", csv("text,sentimnt", TEXTS, TWO)))
    rows = [{"text": t, "label": n, "instruction": t, "output": t} for t, n in zip(TEXTS, TWO, strict=True)]
    both = write("b.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(LuthierError, match="can be read as") as caught:
        read(both)
    ways = [line.split(" --map ")[1] for line in str(caught.value).splitlines()[1:]]
    found = [read(both, columns=dict(p.split("=") for p in way.split(","))).task for way in ways]
    assert found == ["classification", "generation"]
    with pytest.raises(LuthierError, match=r"--map 1=text,0=label"):
        read(write("c.csv", "1,a film that nobody needs\n"))
    marked = write("d.csv", csv("prompt,completion", TEXTS, TWO))
    assert (
        f"luthier compare {marked} --map prompt=text,completion=label reads them"
        in read_table(DataConfig(str(marked)), str(marked)).notes[-1]
    )


GIVEN = [
    ("compare a.csv --budget 3m", "compare a.csv --budget 3m --map what=text,stars=label"),
    ("compare a.csv --map x=text --seeds 2", "compare a.csv --seeds 2 --map what=text,stars=label"),
    ("compare a.csv --map=x=text --instruction Do", "compare a.csv --map what=text,stars=label"),
    ("data inspect a.csv", "data inspect a.csv --map what=text,stars=label"),
    ("eval runs/x a.csv", "eval runs/x a.csv --map what=text,stars=label"),
    ("train r.yaml data.path=a.csv data.map.x=text",
     """train r.yaml data.path=a.csv 'data.map={"what": "text", "stars": "label"}'"""),
    ("index build docs", "compare a.csv --map what=text,stars=label"),
    ("", "compare a.csv --map what=text,stars=label"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "again"), GIVEN)
def test_it_is_the_command_that_was_given(given: str, again: str) -> None:
    """Seen failing with the comparison for whatever was given, and with the old mapping kept beside the new one."""
    command.keep(shlex.split(given))
    assert command.with_map("a.csv", {"what": "text", "stars": "label"}) == f"luthier {again}"


def test_labels_go_with_a_mapping_that_has_none() -> None:
    command.keep(shlex.split("compare a.csv --labels 0=no,1=yes"))
    found = command.with_map("a.csv", {"a": "input", "b": "output"}, "Do it.")
    assert found == "luthier compare a.csv --map a=input,b=output --instruction 'Do it.'"


def test_a_mapping_that_makes_no_row_and_one_without_its_instruction(write: Write) -> None:
    """Seen failing with the reasons of five rows alone."""
    path = write("a.csv", csv("what,stars", TEXTS, STARS))
    with pytest.raises(LuthierError, match=r"By its content it is rather:\n  luthier .* --map what=text,stars=label$"):
        read(path, columns={"stars": "text", "what": "value"})
    pairs = write("b.csv", csv("de,en", TEXTS, TEXTS[::-1]))
    with pytest.raises(LuthierError) as caught:
        read(pairs, columns={"de": "input", "en": "output"})
    hint = f"luthier compare {pairs} --map de=input,en=output --instruction 'Translate from German to English.'"
    assert hint in str(caught.value)
