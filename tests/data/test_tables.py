"""Tables as spreadsheets and people write them: separators, titles, empty columns and rows, names of columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from luthier.core.errors import LuthierError
from luthier.core.records import Chat, Labelled, Message, Rated, Text
from luthier.data.formats import load
from luthier.data.names import ALIASES, aliases, meaning
from luthier.data.read import Table, read, read_inputs
from luthier.data.source import FIELDS

Write = Callable[[str, str | bytes], Path]
ROWS = [("退款，还没到", "钱"), ("where is it?", "way"), ("他说“很好”", "钱")]


def rows(table: Table) -> list[tuple[str, str]]:
    return [(record.text, record.label) for record in table.records if isinstance(record, Labelled)]


@pytest.mark.parametrize(
    ("separator", "said"), [(",", ""), (";", ""), ("\t", "separated by tabs"), ("|", "separated by bars")]
)
def test_separators(write: Write, separator: str, said: str) -> None:
    lines = [("text", "label"), *ROWS]
    table = read(write("a.csv", "".join(separator.join(line) + "\r\n" for line in lines)))
    assert rows(table) == ROWS and table.lines == (2, 3, 4)
    assert bool(table.notes) == bool(said) and all(said in note for note in table.notes)
    data = "".join(separator.join(line) + "\n" for line in ROWS)
    assert rows(read(write("b.csv", data), columns={"0": "text", "1": "label"})) == ROWS


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "sep=^", "sep=]"])
def test_the_separator_that_the_first_line_names(write: Write, first: str) -> None:
    mark = first.strip('"')[-1]
    table = read(write("a.csv", f"{first}\r\ntext{mark}label\r\na, b{mark}x\r\nc{mark}y\r\n"))
    assert rows(table) == [("a, b", "x"), ("c", "y")] and table.lines == (3, 4)


def test_wide_separators_only_where_they_part_known_names(write: Write) -> None:
    table = read(write("a.csv", "文本，标签\n你好，好\n再见，坏\n"))
    assert rows(table) == [("你好", "好"), ("再见", "坏")] and "wide commas" in table.notes[0]
    assert read(write("b.csv", "text\n你好，好\n再见，坏\n")).records[0] == Text("你好，好", "b.csv")


def test_cells_in_quotes_behind_a_space(write: Write) -> None:
    table = read(write("a.csv", 'text, label\n"a, b", "x"\r\n"c" , "y ""z""" \n'))
    assert rows(table)[0] == ("a, b", "x") and table.bad[0].reason.startswith("text after a closing quote")
    table = read(write("b.csv", 'label; text\nx; "no" he said\ny; "a; b"\nz; "open\n'))
    assert rows(table) == [(' "no" he said', "x"), ("a; b", "y"), (' "open', "z")]


def test_a_markdown_table(write: Write) -> None:
    table = read(write("a.csv", "| text | label |\n|:---|---:|\n| a b | x |\n| c | y |\n"))
    assert rows(table) == [("a b", "x"), ("c", "y")] and table.lines == (3, 4)


def test_one_column_has_no_separator(write: Write) -> None:
    table = read(write("a.csv", "text\nhello, world\nfoo\nbar\n"))
    assert [record.wanted for record in table.records] == ["hello, world", "foo", "bar"] and not table.notes


def test_lines_that_end_in_cr(write: Write) -> None:
    """Alone, and with line feeds inside quoted cells, as spreadsheets on a Mac write them."""
    assert rows(read(write("a.csv", "text,label\ra,x\r\rb,y\r"))) == [("a", "x"), ("b", "y")]
    table = read(write("b.csv", 'text,label\r"a\nb",x\rc,y\r'))
    assert rows(table) == [("a\nb", "x"), ("c", "y")] and table.lines == (2, 4)
    assert read(write("c.jsonl", '{"text": "a"}\r{"text": "b"}')).lines == (1, 2)
    assert read(write("d.txt", "a\ra\r\rb")).records == (Text("a\na", "d.txt"), Text("b", "d.txt"))


def test_a_title_above_the_header(write: Write) -> None:
    table = read(write("a.csv", "Report of May,,\r\n\r\n,,\r\ntext,label,\r\na,x,\r\nb,y,\r\n"))
    assert rows(table) == [("a", "x"), ("b", "y")] and table.lines == (5, 6)
    assert table.notes == (
        "a.csv: rows of nothing but separators are left out: 1",
        'a.csv: the header is line 4; what stands above it is left out: "Report of May,,"',
        "a.csv: columns without a name and a value are left out: 1",
    )
    table = read(write("b.csv", "五月报表\nsaid,kind\na,x\n"), columns={"said": "text", "kind": "label"})
    assert rows(table) == [("a", "x")]
    # a row that happens to hold one known word is no header
    with pytest.raises(LuthierError, match="no known columns"):
        read(write("c.csv", "what is it,question\nhow,label\n"))


def test_empty_columns_and_rows(write: Write) -> None:
    table = read(write("b.csv", "text,label,,\na,x,,\n,,,\n , ,\nc,z,,\n"))
    assert rows(table) == [("a", "x"), ("c", "z")] and not table.bad
    assert table.notes == (
        "b.csv: rows of nothing but separators are left out: 2",
        "b.csv: columns without a name and a value are left out: 2",
    )
    table = read(write("c.csv", "text,label\na,x,,\nb,y,z\n"))
    assert rows(table) == [("a", "x")] and table.bad[0].reason.startswith("3 column(s) where the header has 2")
    assert read(write("d.csv", "text,label,\na,x,3\n")).keys[2].name == "2"
    with pytest.raises(LuthierError, match="is empty"):
        read(write("e.csv", ",,\n,,\n"))


def test_a_tsv_with_quotes(write: Write) -> None:
    """Where quotes fit and cells need them; a quote that is a character of the text stays one."""
    table = read(write("a.tsv", 'text\tlabel\n"two\nlines"\tx\n"say ""hi"""\ty\n'))
    assert rows(table) == [("two\nlines", "x"), ('say "hi"', "y")] and "as Excel writes them" in table.notes[0]
    assert rows(read(write("b.tsv", '"text"\t"label"\n"a"\t"x"\n'))) == [("a", "x")]
    table = read(write("c.tsv", 'text\tlabel\n"Never"\tx\n5" wide\ty\n'))
    assert rows(table) == [('"Never"', "x"), ('5" wide', "y")] and not table.notes


def test_a_table_whose_name_ends_in_txt(write: Write) -> None:
    table = read(write("a.txt", "文本\t标签\r\n退款\t钱\r\n".encode("utf-16")))
    assert rows(table) == [("退款", "钱")] and "read as a table, not as paragraphs" in " ".join(table.notes)
    assert read(write("b.txt", "The text is here.\nA label too.\n")).task == "text"


# -- names -----------------------------------------------------------------------------------------------------------


def test_names_of_columns(write: Write) -> None:
    for header in ("Text,LABEL", " text , label ", "文本,标签", "内容,类别", "sentence,label", "ｔｅｘｔ,label"):
        assert rows(read(write("a.csv", f"{header}\na,x\n"))) == [("a", "x")]
    for header in ("问题,答案", "问题,回答", "Question,Answer"):
        assert read(write("a.csv", f"{header}\na,x\n")).records == (
            Chat((Message("user", "a"), Message("assistant", "x"))),
        )
    path = write("b.jsonl", '{"指令": "翻译", "输入": "你好", "输出": "hello", "备注": "1"}\n')
    table = read(path)
    assert table.records == (Chat((Message("user", "翻译\n你好"), Message("assistant", "hello"))),)
    assert table.notes == (
        "b.jsonl: columns are read by what they are usually called: "
        '"指令" → instruction, "输入" → input, "输出" → output',
        "b.jsonl: not used, with the number of rows: 备注 (1).",
    )
    assert {key.name: key.field for key in table.keys} == {
        "指令": "instruction", "输入": "input", "输出": "output", "备注": "",
    }  # fmt: skip
    assert read(write("c.csv", "text,评分\na,3\n")).records == (Rated("a", 3.0),)
    inputs = read_inputs(write("d.csv", "编号,文本\n1,你好\n"))
    assert inputs.prompts == ["你好"] and inputs.fieldnames == ["编号", "文本"] and "→ text" in inputs.notes[0]


def test_a_name_never_wins_over_the_field_itself(write: Write) -> None:
    table = read(write("a.csv", "text,Text,label,类别\na,b,x,y\n"))
    assert rows(table) == [("a", "x")] and "→" not in " ".join(table.notes)
    assert rows(read(write("b.csv", "文本,句子,标签\na,b,x\n"), columns={"句子": "text"})) == [("b", "x")]
    with pytest.raises(LuthierError, match=r"no known columns|say what it is"):  # two for one field: asked
        read(write("c.csv", "文本,句子,标签\na,b,x\n"))
    with pytest.raises(LuthierError, match='"text" \\(column "文本"\\) is empty'):
        read(write("d.csv", "文本,标签\n  ,x\n"))


def test_aliases_are_fields() -> None:
    assert set(ALIASES.values()) <= set(FIELDS) and not set(ALIASES) & set(FIELDS)
    assert [meaning(name) for name in (" Text\u00a0", "標題", "category", "ＬＡＢＥＬ")] == ["text", "", "", "label"]
    assert aliases(["文本", "标签", "label"]) == {"文本": "text"}


def test_labels_that_differ_in_case_or_width_are_told(write: Write) -> None:
    content = "text,label\na,Positive\nb,positive\nc,positive\xa0\nd,negative\ne,ｐｏｓｉｔｉｖｅ\nf,\u200bnegative\n"
    table = read(write("a.csv", content))
    assert [label for _, label in rows(table)] == [
        "Positive", "positive", "positive", "negative", "ｐｏｓｉｔｉｖｅ", "negative",
    ]  # fmt: skip
    assert table.notes == (
        'a.csv: labels that differ only in case, width or space count as different: "positive" (2), "Positive" (1), '
        '"ｐｏｓｉｔｉｖｅ" (1)',
        "a.csv: to make them one: --labels Positive=positive,ｐｏｓｉｔｉｖｅ=positive,negative=negative",
    )
    told = dict(part.split("=") for part in table.notes[1].rsplit(" ", 1)[1].split(","))
    again = read(write("a.csv", content), labels=told)
    assert not again.bad and {label for _, label in rows(again)} == {"positive", "negative"} and not again.notes


# -- files that are no tables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.xlsx", b"PK\x03\x04....xl/workbook.xml", "is an Excel workbook: open it and save the table as CSV UTF-8"),
        ("a.csv", b"PK\x03\x04....xl/workbook.xml", "is an Excel workbook"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "is an Excel workbook or Word document of the old kind"),
        ("a.ods", b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "is an OpenDocument table"),
        ("a.docx", b"PK\x03\x04....word/document.xml", "is a Word document"),
        ("a.zip", b"PK\x03\x04....rows.csv", "is a zip archive: unpack it"),
        ("a.csv", b"\xef\xbb\xbf \n<!DOCTYPE html><table>", "is a web page"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        ("a.pdf", b"%PDF-1.7", "is a PDF"), ("a.csv", b"PAR1....", "name it .parquet"),
        ("a.jsonl.zst", b"(\xb5/\xfd....", "is a compressed file"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_said(write: Write, name: str, data: bytes, said: str) -> None:
    path = write(name, data)
    with pytest.raises(LuthierError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path} ") and said in str(caught.value) and "\n" not in str(caught.value)


def test_gzip_is_read(write: Write) -> None:
    import gzip

    content = "text,label\n退款，还没有收到,钱\n请问什么时候能到,路\n".encode("gb18030")
    table = read(write("a.csv.gz", gzip.compress(content)))
    assert rows(table) == [("退款，还没有收到", "钱"), ("请问什么时候能到", "路")]
    assert read(write("b.jsonl.gz", gzip.compress(b'{"text": "a"}\n'))).task == "text"
    with pytest.raises(LuthierError, match="cannot be read"):
        read(write("c.csv.gz", gzip.compress(content)[:-9]))
    with pytest.raises(LuthierError, match="unpack it"):
        read(write("d.parquet.gz", gzip.compress(b"PAR1")))


# -- any table -------------------------------------------------------------------------------------------------------

CHARS = st.characters(codec="gb18030", categories=["L", "N", "P", "Zs"]) | st.sampled_from("\",;\t|\n'=“”，。\r")
CELL = st.text(CHARS, max_size=12)
COMMON = st.sampled_from("快递三天了还没有到什么时候能送退款已经收谢这件衣服的质量比照片差很多")
CHINESE = st.lists(COMMON, min_size=8, max_size=20, unique=True).map("".join)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    cells=st.lists(st.tuples(CHINESE, CELL, st.sampled_from(["好", "不好"])), min_size=2, max_size=8),
    separator=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\r\n", "\n", "\r"]),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"]),
    every=st.booleans(),
)
def test_what_csv_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    cells: list[tuple[str, str, str]],
    separator: str,
    end: str,
    codec: str,
    every: bool,
) -> None:
    if codec == "gb18030":  # letters of all the world are not what a file in it holds
        cells = [(text, "".join(c for c in more if c.isascii() or c in "“”，。"), label) for text, more, label in cells]
    assume(every or end != "\r" or not any("\n" in more for _, more, _ in cells))  # which csv leaves without quotes
    sink = io.StringIO()
    quoting: Literal[0, 1] = csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL
    writer = csv.writer(sink, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerows([("text", "more", "label"), *cells])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(sink.getvalue().encode(codec))
    source = load(path)
    found = [tuple(row.columns.get(name) for name in ("text", "more", "label")) for row in source.rows]

    def ends(text: str) -> str:
        return text.replace("\r\n", "\n").replace("\r", "\n") if end == "\r" else text.replace("\r\n", "\n")

    assert found == [(text, ends(more), label) for text, more, label in cells]
