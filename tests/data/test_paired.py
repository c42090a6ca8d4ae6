"""Two files of lines: line i of the one is asked, line i of the other is the answer."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from luthier.comparison.board import command_of
from luthier.comparison.plan import make_request
from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase
from luthier.core.records import Chat, Message
from luthier.data.load import load_split
from luthier.data.paired import instruction_of
from luthier.data.task import read_table
from luthier.io.config import DataConfig, plain, recipe_from

Write = Callable[[str, str | bytes], Path]


def pair(write: Write, *lines: tuple[str, str], names: tuple[str, str] = ("a.fr", "b.en")) -> tuple[str, str]:
    sides = ["\n".join(side) + "\n" for side in zip(*lines, strict=True)]
    return str(write(names[0], sides[0])), str(write(names[1], sides[1]))


LINES = [(f"le chat numéro {i}", f"cat number {i}") for i in range(20)]


def test_line_by_line(write: Write) -> None:
    """Seen failing with the answers one line off."""
    files = pair(write, *LINES)
    config = DataConfig(pair=files)
    table = read_table(config, config.path)
    asked = "Translate from French to English.\nle chat numéro 7"
    assert table.records[7] == Chat((Message("user", asked), Message("assistant", "cat number 7")))
    assert len(table.records) == 20 and table.task == "generation" and not table.bad
    (note,) = table.notes
    assert "Translate from French to English." in note and "--instruction" in note
    assert isinstance(note, Phrase) and "指令按文件名定为“Translate from French to English.”" in note.text("zh")
    given = read_table(DataConfig(pair=files, instruction="Auf Englisch:"), files[0])
    assert given.records[0].asked[0].content == "Auf Englisch:\nle chat numéro 0" and not given.notes  # type: ignore[union-attr]
    bare = read_table(DataConfig(pair=files, instruction=""), files[0])
    assert bare.records[0].asked[0].content == "le chat numéro 0"  # type: ignore[union-attr]


def test_different_numbers_of_lines_are_both_said(write: Write) -> None:
    one, other = write("a.fr", "un\ndeux\ntrois\n"), write("b.en", "one\ntwo")
    with pytest.raises(LuthierError, match=rf"{one} has 3 lines and {other} has 2"):
        read_table(DataConfig(pair=(str(one), str(other))), str(one))


def test_an_empty_line_is_a_bad_row_with_its_number(write: Write) -> None:
    files = pair(write, ("un", "one"), ("", "two"), ("trois", "  "), ("quatre", "four"))
    table = read_table(DataConfig(pair=files), files[0])
    assert table.lines == (1, 4)
    assert [(bad.line, bad.reason) for bad in table.bad] == [
        (2, "the line is empty in a.fr"), (3, "the line is empty in b.en")
    ]  # fmt: skip
    with pytest.raises(LuthierError, match=r"a\.fr:2: the line is empty in a\.fr"):
        load_split(DataConfig(pair=files))


def test_packed_and_other_encodings(write: Write) -> None:
    """CRLF, gzip, and a text that is not UTF-8."""
    german = "".join(f"Die Grüße für Käthe und das schöne Mädchen Nummer {i}\r\n" for i in range(20))
    one = write("a.de.gz", gzip.compress(german.encode("cp1252")))
    other = write("b.zh", "".join(f"第{i}个问候\n" for i in range(20)))
    config = DataConfig(pair=(str(one), str(other)))
    table = read_table(config, config.path)
    said = "Translate from German to Chinese.\nDie Grüße für Käthe und das schöne Mädchen Nummer 3"
    assert table.records[3].asked[0].content == said and table.records[3].wanted == "第3个问候"  # type: ignore[union-attr]
    assert any("Windows-1252" in note for note in table.notes)


@pytest.mark.parametrize(
    ("names", "instruction"),
    [
        (("a.fr", "b.en"), "Translate from French to English."),
        (("train.de.txt", "train.zh.txt.gz"), "Translate from German to Chinese."),
        (("europarl-zh-CN.txt", "europarl_ja"), "Translate from Chinese to Japanese."),
        (("src.txt", "tgt.txt"), ""),
        (("a.fr", "b.txt"), ""),
    ],
)
def test_the_instruction_follows_the_names(names: tuple[str, str], instruction: str) -> None:
    assert instruction_of(names, None) == instruction
    assert instruction_of(names, "Do.") == "Do."


def test_a_pair_as_the_test_file(write: Write) -> None:
    files = pair(write, *LINES)
    held = pair(write, *[(f"un chien {i}", f"dog {i}") for i in range(5)], names=("c.fr", "d.en"))
    split, _ = load_split(DataConfig(pair=files, test=",".join(held)))
    assert len(split.test) == 5 and split.test[0].asked[0].content.startswith("Translate from French")  # type: ignore[union-attr]


def test_settings_that_do_not_go_together(write: Write) -> None:
    files = pair(write, *LINES)
    for wrong, said in (
        ({"pair": [files[0]]}, "two files of lines, not 1"), ({"pair": [*files], "path": "x.csv"}, "give one of them"),
        ({"pair": [*files], "map": {"a": "text"}}, "lines have no columns"),
    ):  # fmt: skip
        with pytest.raises(LuthierError, match=said):
            recipe_from({"data": wrong})


def test_a_request_with_a_pair_and_its_command(write: Write) -> None:
    """Without one a recipe and a folder's name are what they were. Seen failing with `pair: []` in both."""
    files = pair(write, *LINES)
    request = make_request({"pair": files}, methods=["zero_shot"])
    assert request.data.path == files[0] and request.folder.name.startswith("compare-a-")
    assert command_of(request).startswith(f"luthier compare --pair {files[0]},{files[1]}")
    assert plain(recipe_from({"data": {"pair": list(files)}}))["data"]["pair"] == files
    assert "pair" not in plain(recipe_from({}))["data"]
    assert make_request({"path": "mine.csv", "pair": []}).key == make_request({"path": "mine.csv"}).key
