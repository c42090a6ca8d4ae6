"""Templates: checked, repaired where one thing can be meant, read from files whose broken lines are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase, of_error
from luthier.core.split import Split
from luthier.data.prompts import CLASSIFY, GENERATE, Template
from luthier.data.templates.bundled import bundled
from luthier.data.templates.files import (  # fmt: skip
    BrokenError,
    check,
    read_template,
    read_templates,
    repair,
    shared_instruction,
    write_template,
)

LABELS = ("a", "b")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"), ("Say it.", "no {input}"), ("{input} {input}", "2 times"), ("say {input", "never closed"),
        ("say input}", "never opened"), ("{{input}}", "write {input}"), ("{text}:", "write {input}"),
        ("{Labels} {input}", "write {labels}"), ("x" * 2001, "2001 characters"),
    ],
)  # fmt: skip
def test_what_is_broken_is_said(text: str, reason: str) -> None:
    with pytest.raises(BrokenError) as error:
        check(text, LABELS)
    said = of_error(error.value)
    assert reason in said and isinstance(said, Phrase) and said.text("zh") != said


def test_labels_only_where_there_are_some() -> None:
    assert check("{labels}: {input}", LABELS)
    with pytest.raises(BrokenError, match="this task has none"):
        check("{labels}: {input}", ())


def test_json_in_a_wording_is_text() -> None:
    text = 'Answer as {"person": "", "date": ""}.\n\n{input}'
    assert check(text, ()) == text and Template("t", text, True).fill("{x}", ()).endswith("\n\n{x}")


@pytest.mark.parametrize(
    ("wrote", "became", "what"),
    [
        ("Translate it.", "Translate it.\n\n{input}", "put at the end"),
        ("Translate {sentence} now", "Translate {input} now", "{sentence} became"),
        ("Translate {{input}}", "Translate {input}", "became"),
        ("Translate {input and stop", "Translate {input} and stop", "became"),
        ("Translate [TEXT].", "Translate {input}.", "[TEXT] became"),
        ("翻译：{文}", None, ""), ("翻译{句子}。", "翻译{input}。", "{句子} became"),
        ("a } b", None, ""), ("say {", None, ""),
        ("fine {input}", "fine {input}", ""),
    ],
)  # fmt: skip
def test_what_a_model_writes_is_repaired_or_not(wrote: str, became: str | None, what: str) -> None:
    if became is None:
        with pytest.raises(BrokenError):
            repair(wrote, ())
        return
    text, changed = repair(wrote, ())
    assert text == became and what in changed


@given(st.text(alphabet="ab {}[]<>inputlabels\n中。", max_size=60))
def test_repair_gives_a_template_or_a_reason(text: str) -> None:
    try:
        whole, _ = repair(text, LABELS)
    except BrokenError as error:
        assert str(error)
    else:
        assert check(whole, LABELS) == whole and Template("t", whole, False).fill("X1", LABELS).count("X1") >= 1


@given(st.binary(max_size=200))
def test_any_bytes_as_a_file_of_templates(data: bytes) -> None:
    import tempfile

    for suffix in (".txt", ".jsonl", ".json"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"t{suffix}"
            path.write_bytes(data)
            try:
                good, _ = read_templates(path, LABELS)
            except LuthierError as error:
                assert str(path) in str(error)
            else:
                assert good and all(check(t.text, LABELS) for t in good)


def test_a_file_names_its_broken_lines_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("# mine\nGerman: {input}\\nEnglish:\n\nGerman: '{input' English:\nSay it.\n", encoding="utf-8")
    good, bad = read_templates(path, (), "Translate.\n")
    assert [t.text for t in good] == ["German: {input}\nEnglish:"] and good[0].replaces == "Translate.\n"
    assert [(b.where, b.reason[:9]) for b in bad] == [(f"{path}:4", "the brace"), (f"{path}:5", "it has no")]
    rows = [{"text": "{input} ->"}, {"text": "{input}", "chat": True, "replaces": ""}, {"chat": True}, 5]
    other = tmp_path / "mine.jsonl"
    other.write_text("\n".join(map(json.dumps, rows)) + "\n{\n", encoding="utf-8")
    good, bad = read_templates(other, (), "T\n")
    assert [(t.chat, t.replaces) for t in good] == [(False, "T\n"), (True, "")] and len(bad) == 3
    path.write_text("nothing\n", encoding="utf-8")
    with pytest.raises(LuthierError, match=r"no wording that can be used.*mine.txt:1: it has no"):
        read_templates(path, ())
    with pytest.raises(LuthierError, match="no such file"):
        read_templates(tmp_path / "none.txt", ())


def test_a_template_is_written_and_read(tmp_path: Path) -> None:
    template = Template("best", "说：{input}", True, "Translate.\n")
    write_template(tmp_path / "t.json", template, {"score": 0.5})
    assert read_template(tmp_path / "t.json") == template
    (tmp_path / "t.json").write_text('{"text": "{input"}')
    with pytest.raises(LuthierError, match=r"t.json: the brace at character 1 is never closed"):
        read_template(tmp_path / "t.json")
    (tmp_path / "t.json").write_text('{"text": "{input}", "chat": "yes"}')
    with pytest.raises(LuthierError, match="chat is true or false"):
        read_template(tmp_path / "t.json")


def test_an_instruction_shared_by_all_rows_is_replaced() -> None:
    """Seen failing with the prefix cut at a character in place of a line."""
    rows = tuple(tiny.chat(f"Translate German to English.\n{q}", "x") for q in ("Das Auto", "Das Boot", "Der Zug"))
    split = Split("generation", rows, ())
    instruction = shared_instruction(split)
    assert instruction == "Translate German to English.\n"
    told = Template("t", "German: {input} English:", False, instruction).fill(
        "Translate German to English.\nDas Auto", ()
    )
    assert told == "German: Das Auto English:"
    assert shared_instruction(tiny.CHATS) == "" and shared_instruction(tiny.LABELLED) == ""


def test_bundled_wordings_fit_their_task() -> None:
    labelled = [t.text for t in bundled(tiny.LABELLED, "")]
    assert {t.text for t in CLASSIFY} <= set(labelled) and any("类别" in t for t in labelled)
    general = [t.text for t in bundled(tiny.CHATS, "")]
    assert {t.text for t in GENERATE} <= set(general) and not any("German" in t for t in general)
    german = [t for t in bundled(tiny.CHATS, "Translate German to English.\n") if t.replaces]
    assert [t.name for t in german] == ["sentence", "pair", "arrow", "句子", "对照", "箭头"]
    for split, names in ((tiny.LABELLED, ("answers",)), (tiny.CHATS, ("labells",))):
        with pytest.raises(LuthierError):
            bundled(split, "", names)
    for split in (tiny.LABELLED, tiny.CHATS):
        for template in bundled(split, "德译英\n"):
            assert check(template.text, split.labels)


def test_a_line_in_another_encoding_or_with_half_a_character_is_named(tmp_path: Path) -> None:
    """Seen failing with the half character left to the tokenizer."""
    path = tmp_path / "mine.txt"
    path.write_bytes(b"\xef\xbb\xbf{input} is:\nL\xe4tin {input} =\n{input} ->\n")
    good, bad = read_templates(path, ())
    assert [t.text for t in good] == ["{input} is:", "{input} ->"]
    assert [(b.where, b.reason[:9]) for b in bad] == [(f"{path}:2", "not UTF-8")]
    path = tmp_path / "mine.jsonl"
    path.write_text('{"text": "a \\ud800 {input}"}\n{"text": "{input} ->"}\n', encoding="utf-8")
    good, bad = read_templates(path, ())
    assert [t.text for t in good] == ["{input} ->"] and "half a character" in bad[0].reason
