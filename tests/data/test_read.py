"""Reading files: what is recognised, how each kind of broken row is named, and that no row is lost."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luthier.core.errors import LuthierError
from luthier.core.records import Chat, Labelled, Message
from luthier.data.read import Table, read, read_inputs, report_bad

Write = Callable[[str, str | bytes], Path]
DE_EN: dict[str, Any] = {"columns": {"de": "input", "en": "output"}, "instruction": "Translate."}
NUMBERS: dict[str, Any] = {"columns": {"0": "text", "1": "label"}}


def jsonl(*rows: object) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def chat(user: str, assistant: str) -> Chat:
    return Chat((Message("user", user), Message("assistant", assistant)))


def reasons(table: Table) -> dict[int, str]:
    return {bad.line: bad.reason for bad in table.bad}


def test_recognised_without_mapping(write: Write) -> None:
    table = read(write("a.jsonl", jsonl({"text": "Hi 你好", "label": "greeting", "extra": [1]})))
    assert (table.task, table.records, table.lines) == ("classification", (Labelled("Hi 你好", "greeting"),), (1,))
    rows = [{"instruction": "Add.", "input": "1+1", "output": "2"}, {"instruction": "Wave.", "output": "👋"}]
    table = read(write("b.jsonl", jsonl(*rows)))
    assert table.task == "generation"
    assert table.records == (chat("Add.\n1+1", "2"), chat("Wave.", "👋"))
    turns = [{"role": r, "content": c} for r, c in (("system", "s"), ("user", "u"), ("user", "v"), ("assistant", "a"))]
    table = read(write("c.jsonl", jsonl({"messages": turns})))
    assert table.records == (Chat(tuple(Message(t["role"], t["content"]) for t in turns)),)


@pytest.mark.parametrize("content", ["text,label\n{}", "label;text;x\n{}"])
def test_csv_separators_and_quotes(write: Write, content: str) -> None:
    texts = ["a, b; c", 'she said "no"', "two\nlines", "两行\n\n文字；还有，逗号"]
    sink = io.StringIO()
    if content.startswith("text"):
        csv.writer(sink).writerows((text, "x") for text in texts)
    else:
        csv.writer(sink, delimiter=";", lineterminator="\n").writerows(("x", text, 1) for text in texts)
    table = read(write("a.csv", content.format(sink.getvalue())))
    assert table.records == tuple(Labelled(text, "x") for text in texts)
    assert table.lines == (2, 3, 4, 6)


def test_tsv_has_no_quoting(write: Write) -> None:
    table = read(write("a.tsv", 'text\tlabel\n"open\tx\nsay "hi"\ty\n'))
    assert table.records == (Labelled('"open', "x"), Labelled('say "hi"', "y"))


def test_tables_by_number(write: Write) -> None:
    table = read(write("a.tsv", "good film\t1\nbad film\t0\n"), **NUMBERS, labels={"0": "negative", "1": "positive"})
    assert table.records == (Labelled("good film", "positive"), Labelled("bad film", "negative"))
    table = read(write("a.csv", "7;good, film;1\n8;bad film;0\n"), columns={"1": "text", "2": "label"})
    assert table.records == (Labelled("good, film", "1"), Labelled("bad film", "0"))


@pytest.mark.parametrize("labels", [{"0": "negative", "1": "positive"}, {}])
def test_a_header_row_read_by_number_is_a_bad_row_with_a_hint(write: Write, labels: dict[str, str]) -> None:
    table = read(write("a.tsv", "sentence\tlabel\ngood\t1\n"), **NUMBERS, labels=labels)
    assert len(table.records) == 1
    assert "if this is a header row" in reasons(table)[1]


def test_line_ends_and_byte_order_mark(write: Write) -> None:
    row = '{"text": "a\u2028b\u0085c", "label": "x"}'
    table = read(write("a.jsonl", b"\xef\xbb\xbf" + f"{row}\r\n\r\n  \n{row}".encode()))
    assert table.lines == (1, 4)
    assert table.records == (Labelled("a\u2028b\u0085c", "x"),) * 2
    table = read(write("a.csv", b'\xef\xbb\xbftext,label\r\n"a\r\nb",x\r\n\r\nc,y\r\n'))
    assert table.records == (Labelled("a\nb", "x"), Labelled("c", "y"))
    assert table.lines == (2, 5)
    table = read(write("a.tsv", b"\xef\xbb\xbftext\tlabel\r\na\x0cb\tx\r\n"))
    assert table.records == (Labelled("a\x0cb", "x"),)


def test_mapping_and_instruction(write: Write) -> None:
    path = write("a.jsonl", jsonl({"de": "Hund", "en": "dog", "text": 3}))
    assert read(path, **DE_EN).records == (chat("Translate.\nHund", "dog"),)
    assert read(path, columns=DE_EN["columns"], instruction="").records == (chat("Hund", "dog"),)
    rows = jsonl({"instruction": "Own.", "input": "x", "output": "y"}, {"instruction": "", "input": "x", "output": "y"})
    assert read(write("b.jsonl", rows), instruction="Given.").records == (chat("Own.\nx", "y"), chat("Given.\nx", "y"))
    table = read(write("c.csv", "sentence,label,text\nHello,1,ignored\n"), columns={"sentence": "text"})
    assert table.records == (Labelled("Hello", "1"),)
    both = jsonl({"text": "t", "label": "l", "instruction": "i", "output": "o"})
    with pytest.raises(LuthierError, match="can be read as"):
        read(write("d.jsonl", both))
    assert read(write("d.jsonl", both), columns={"output": "output"}).records == (chat("i", "o"),)


def test_labels(write: Write) -> None:
    labels: list[Any] = [1, 0, 1.0, True, " positive ", "neutral", 2, None, []]
    rows = [{"text": "t", "label": label} for label in labels]
    names = {"0": "negative", "1": "positive", "true": "yes"}
    table = read(write("a.jsonl", jsonl(*rows)), labels=names, known_labels=["neutral"])
    found = [record.label for record in table.records if isinstance(record, Labelled)]
    assert found == ["positive", "negative", "positive", "yes", "positive", "neutral"]
    assert list(reasons(table)) == [7, 8, 9]
    assert reasons(table)[7] == 'label "2" is none of "0", "1", "true"'
    assert reasons(table)[8] == 'field "label" is null, not text'
    table = read(write("b.jsonl", jsonl(*rows[:2], {"text": "t", "label": "positive"})), known_labels=["positive"])
    assert list(reasons(table)) == [1, 2]


GOOD = '{"text": "t", "label": "x"}'
BROKEN = [
    ('{"text": "t", "label": "x"', "not JSON: Expecting ',' delimiter at column 27"),
    ('{"text": "t", "label": NaN}', "not JSON: NaN is not a JSON value"),
    ('["t", "x"]', "not a JSON object but a list"),
    ("[" * 100_000, "nested too deeply"),
    ('{"text": "t", "label": ' + "1" * 5000 + "}", "not JSON: "),
    ('{"label": "x"}', 'missing field "text"'),
    ('{"text": "t"}', 'missing field "label"'),
    ('{"text": " \\u3000\\n\\u200b", "label": "x"}', 'field "text" is empty'),
    ('{"text": "t", "label": ""}', 'field "label" is empty'),
    ('{"text": 12, "label": "x"}', 'field "text" is a number, not text'),
    ('{"text": ["t"], "label": "x"}', 'field "text" is a list, not text'),
    ('{"text": true, "label": "x"}', 'field "text" is true or false, not text'),
    ('{"text": "a\\u0000b", "label": "x"}', 'field "text" holds a NUL character'),
    ('{"text": "a\x00b", "label": "x"}', "holds a NUL byte at character 12"),
    ('{"text": "a\\ud83d", "label": "x"}', "half a character"),
    (b'{"text": "caf\xe9", "label": "x"}', "not valid UTF-8: byte 0xe9 at character 14"),
    ('{"text": "' + "长" * 4_000_000 + '", "label": "x"}', "longer than 10 MB"),
]


@pytest.mark.parametrize(("line", "reason"), BROKEN, ids=[reason for _, reason in BROKEN])
def test_broken_json_rows(write: Write, line: str | bytes, reason: str) -> None:
    data = line if isinstance(line, bytes) else line.encode()
    table = read(write("a.jsonl", GOOD.encode() + b"\n\n" + data + b"\r\n" + GOOD.encode()))
    assert table.lines == (1, 4) and list(reasons(table)) == [3]
    assert reason in reasons(table)[3]
    table.bad[0].raw.encode()


USER, ASSISTANT = {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}
BROKEN_CHATS = [
    ([], "is empty"),
    ("hello", "a text, not a list of messages"),
    (["hello"], "message 1 is a text, not an object"),
    ([{"speaker": "human", "value": "x"}], "message 1 has no role"),
    ([{"from": "narrator", "value": "x"}], 'message 1 is from "narrator"'),
    (
        [USER, {"role": "gpt", "content": "x"}],
        'message 2 has role "gpt": roles are system, developer, user, assistant, tool',
    ),
    ([USER, ASSISTANT, USER], "the last message is the user's, not the assistant's"),
    ([USER, {"role": "assistant", "content": None}], "the content of message 2 is null, not text"),
    ([USER, {"role": "assistant", "content": [{"type": "image_url", "image_url": {}}]}], "holds an image: only text"),
    ([USER, {"role": "assistant"}], "message 2 has no content"),
    ([USER, {"role": "assistant", "content": " "}], "the content of message 2 is empty"),
    ([ASSISTANT], "no message is the user's"),
]


@pytest.mark.parametrize(("turns", "reason"), BROKEN_CHATS, ids=[reason for _, reason in BROKEN_CHATS])
def test_broken_chats(write: Write, turns: object, reason: str) -> None:
    table = read(write("a.jsonl", jsonl({"messages": [USER, ASSISTANT]}, {"messages": turns}, {"x": 1})))
    assert reason in reasons(table)[2]
    assert reasons(table)[3] == 'missing field "messages"'


def test_broken_table_rows(write: Write) -> None:
    table = read(write("a.tsv", b"text\tlabel\na\tx\nb\nc\td\tx\n\tx\ncaf\xe9\tx\nn\x00\tx\ne\t \nf\tx"))
    assert table.lines == (2, 9)
    assert [reasons(table)[line].split(":")[0] for line in (3, 4, 5, 6, 7, 8)] == [
        "1 column(s) where the header has 2",
        "3 column(s) where the header has 2",
        'field "text" is empty',
        "not valid UTF-8",
        "holds a NUL byte at character 2",
        'field "label" is empty',
    ]


def test_a_broken_quote_spoils_one_row_only(write: Write) -> None:
    content = 'text,label\n"never closed,x\nfine,x\n"said "no" loudly",x\n"two\nlines",y\nlast,x\n"open'
    table = read(write("a.csv", content))
    assert table.records == (Labelled("fine", "x"), Labelled("two\nlines", "y"), Labelled("last", "x"))
    assert table.lines == (3, 5, 7)
    assert {line: reason.split(":")[0] for line, reason in reasons(table).items()} == {
        2: "text after a closing quote",
        4: "text after a closing quote",
        8: "a quote is opened and never closed",
    }


def test_many_broken_quotes_take_linear_time(write: Write) -> None:
    table = read(write("a.csv", "text,label\nt,x\n" + '"a""b,x\n' * 40_000))
    assert len(table.records) == 1 and len(table.bad) == 40_000


WHOLE_FILES = [
    ("a.jsonl", "", {}, "is empty"),
    ("a.jsonl", " \n\r\n", {}, "is empty"),
    ("a.json", "[]", {}, "is empty"),
    ("a.parquet", "x", {}, "not a parquet file that can be read"),
    ("a.jsonl", "\ufeff".encode("utf-16"), {}, "is empty"),
    ("a.jsonl", '["t", "x"]\n["u", "y"]\n', {}, r"none of its 2 rows(.|\n)*1: not a JSON object but a list"),
    ("a.jsonl", "nonsense\nmore", {}, r"none of its 2 rows can be used:\n.*a\.jsonl:1: not JSON"),
    ("a.jsonl", '{"text": ""}\n{"text": "", "label": ""}', {}, "none of its 2 rows"),
    ("a.jsonl", '{"de": "x", "en": "y"}', {}, r'Found: "de", "en"(.|\n)*--map de=input,en=output'),
    ("a.jsonl", '{"de": "x", "en": "y"}', {"columns": DE_EN["columns"]}, "--instruction"),
    ("a.jsonl", '{"de": "x", "en": "y"}', {"columns": {"dee": "input", "en": "output"}}, 'did you mean "de"'),
    ("a.jsonl", "{}", {}, "no known columns"),
    ("a.jsonl", '{"\\ud83d": 1}', {}, "no known columns"),
    ("a.csv", "text,label\n", {}, "no row under it"),
    ("a.csv", "a film,1\n", {}, "--map 0=text,1=label"),
    ("a.csv", 'text,"label\nx,y\n', {}, "header row cannot be read"),
    ("a.csv", "text,text,label\nx,y,z\n", {}, "twice"),
    ("a.csv", "messages\nx\n", {}, "from .jsonl only"),
    ("a.csv", "text,label\nx,y\n", {"columns": {"7": "text"}}, 'no column "7"'),
    ("a.csv", "text,label\nx,y\n", {"columns": {"0": "text", "label": "label"}}, "not both"),
    ("a.csv", "text,label\nx,y\n", {"columns": {"text": "txt"}}, 'no field "txt"'),
    ("a.csv", "text,label\nx,y\n", {"columns": {"text": "text", "label": "text"}}, "two columns"),
    ("a.csv", "text,label\nx,y\n", {"columns": {"text": "text", "label": "output"}}, "do not belong together"),
    ("a.csv", "text,label\nx,y\n", {"instruction": "Do."}, "--instruction is for"),
    ("a.csv", "instruction,output\nx,y\n", {"labels": {"0": "no"}}, "--labels is for"),
]


@pytest.mark.parametrize(("name", "content", "options", "message"), WHOLE_FILES)
def test_files_that_cannot_be_used(
    write: Write, name: str, content: str | bytes, options: dict[str, dict[str, str]], message: str
) -> None:
    path = write(name, content)
    with pytest.raises(LuthierError, match=message) as caught:
        read(path, **options)  # type: ignore[arg-type]
    if "--map" not in str(caught.value):
        assert str(path) in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match="does not exist"):
        read(tmp_path / "absent.jsonl")
    with pytest.raises(LuthierError, match="is a folder"):
        read(tmp_path)


def test_nothing_heavy_is_imported() -> None:
    names = "chat", "embedded", "formats", "layouts", "read", "rows", "split", "task"
    program = f"import sys, {', '.join(f'luthier.data.{name}' for name in names)}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "numpy"} & set(run.stdout.split())


def test_report_bad(write: Write, tmp_path: Path) -> None:
    path = write("a.jsonl", (GOOD + "\n").encode() + b'{"text": "caf\xe9"}\n' + b"oops\n" * 24)
    table, rejected = read(path), tmp_path / "out" / "rejected.jsonl"
    with pytest.raises(LuthierError) as caught:
        report_bad(table, skip_bad=False, rejected=rejected)
    lines = str(caught.value).splitlines()
    assert lines[0] == "25 of 26 rows cannot be used:" and len(lines) == 23
    assert lines[1].startswith(f"  {path}:2: not valid UTF-8")
    assert lines[-2] == "  and 5 more"
    assert lines[-1] == "--skip-bad leaves them out and writes them to rejected.jsonl"
    assert not rejected.exists()
    report_bad(table, skip_bad=True, rejected=rejected)
    rows = [json.loads(line) for line in rejected.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == {"line": 2, "reason": table.bad[0].reason, "raw": '{"text": "caf\\xe9"}'} and len(rows) == 25
    assert [p.name for p in rejected.parent.iterdir()] == ["rejected.jsonl"]
    report_bad(read(write("b.jsonl", GOOD)), skip_bad=False, rejected=None)


def test_inputs(write: Write) -> None:
    inputs = read_inputs(write("a.csv", "id,text\n1,Hello\n2,你好\n3,\n"))
    assert inputs.task == "classification" and inputs.prompts == ["Hello", "你好"]
    assert inputs.rows == [{"id": "1", "text": "Hello"}, {"id": "2", "text": "你好"}]
    assert inputs.fieldnames == ["id", "text"] and [bad.line for bad in inputs.bad] == [4]
    with pytest.raises(LuthierError, match=r"a\.csv:4: field"):
        report_bad(inputs, skip_bad=False, rejected=None)
    inputs = read_inputs(write("b.jsonl", jsonl({"de": "Hund", "n": [1, None]}, {"de": "Katze"})), **DE_EN)
    assert inputs.task == "generation" and inputs.prompts == ["Translate.\nHund", "Translate.\nKatze"]
    assert inputs.rows == [{"de": "Hund", "n": "[1, null]"}, {"de": "Katze", "n": ""}]
    inputs = read_inputs(write("c.tsv", "one\ntwo\n"), **NUMBERS)
    assert inputs.prompts == ["one", "two"] and inputs.fieldnames == ["0"]
    assert read_inputs(write("d.jsonl", jsonl({"instruction": "Sing."}))).prompts == ["Sing."]
    assert read_inputs(write("e.jsonl", jsonl({"messages": [USER]}))).prompts == ["u"]
    for content in ({"x": "y"}, {"messages": [ASSISTANT]}, {"text": ""}):
        with pytest.raises(LuthierError):
            read_inputs(write("e.jsonl", jsonl(content)))
