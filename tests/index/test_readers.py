"""Every format, and what is wrong with files of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from luthier.core.document import Document
from luthier.core.errors import LuthierError
from luthier.data.document_readers import endings, read_document
from pdfs import pdf


def read(path: Path, raw: bytes | str) -> Document:
    path.write_bytes(raw.encode() if isinstance(raw, str) else raw)
    return read_document(path, path.name, 10**6)


def problem(path: Path, raw: bytes | str) -> str:
    with pytest.raises(LuthierError) as error:
        read(path, raw)
    return str(error.value)


def test_formats() -> None:
    assert {".txt", ".md", ".html", ".htm", ".pdf", ".docx", ".jsonl"} <= set(endings())


def test_plain_is_kept_as_it_is(tmp_path: Path) -> None:
    """So that characters are counted as in the file. Seen failing with line ends made the same."""
    (section,) = read(tmp_path / "a.md", "intro\r\n\r\n# 年假 rules #\r\n15 天\r\n").sections
    assert section.text == "intro\r\n\r\n# 年假 rules #\r\n15 天\r\n" and section.title == "年假 rules"
    assert read(tmp_path / "a.txt", "# no title here").sections[0].title == ""


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030", "big5", "cp932"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    """Those without a mark are guessed, and that is said."""
    text = {"big5": "本公司的年假為十五天，請提前申請。", "cp932": "年次有給休暇は十五日です。申請してください。"}.get(
        encoding, "本公司的年假为十五天，请提前申请。"
    )
    found = read(tmp_path / "a.txt", text.encode(encoding))
    assert found.sections[0].text == text
    assert bool(found.notes) == (encoding not in ("utf-8-sig", "utf-16"))


def test_what_is_no_text(tmp_path: Path) -> None:
    assert "empty" in problem(tmp_path / "a.txt", b"")
    assert "no text" in problem(tmp_path / "a.txt", b" \n\t ")
    assert "byte 0" in problem(tmp_path / "a.txt", bytes(range(128, 256)) + bytes(range(256)))
    assert "zero byte" in problem(tmp_path / "a.txt", b"a\0b")
    assert "utf-16" in problem(tmp_path / "a.txt", b"\xff\xfea")
    assert "more than 1 MB" in problem(tmp_path / "a.txt", b"x" * 1_000_001)


def test_half_characters_are_replaced_everywhere(tmp_path: Path) -> None:
    """No file and no table can hold them. Seen failing with a title and tags as they came."""
    row = '{"text": "a\\ud800", "title": "t\\ud800", "k\\ud800": "v\\ud800"}'
    (section,) = read(tmp_path / "a.jsonl", row).sections
    assert (section.text, section.title, section.tags) == ("a?", "t?", ("k?=v?",))


def test_utf_32_is_not_taken_for_utf_16(tmp_path: Path) -> None:
    """Its mark begins with the other's."""
    assert read(tmp_path / "a.txt", "年假 15".encode("utf-32")).sections[0].text == "年假 15"


def test_what_a_library_raises_is_a_problem_of_the_file(tmp_path: Path) -> None:
    """Seen failing with bs4's own error, which ended the whole build."""
    pytest.importorskip("bs4")
    assert "cannot be read" in problem(tmp_path / "a.html", "<p>x<![foo<p>y")


@pytest.mark.parametrize("page", ["<article>one</article><article>two</article>", "<form>one <input>two</form>"])
def test_all_of_a_page_is_read(tmp_path: Path, page: str) -> None:
    """Every article, and a page that is one form. Seen failing with forms left out."""
    pytest.importorskip("bs4")
    assert read(tmp_path / "a.html", f"<body>{page}</body>").sections[0].text.split() == ["one", "two"]


def test_html_is_what_a_reader_sees(tmp_path: Path) -> None:
    """Seen failing with scripts kept, and with code on one line."""
    pytest.importorskip("bs4")
    page = """<!doctype html><meta charset=gbk><title>年假 page</title><script>var x = 'no';</script>
      <nav><a>Home</a></nav><h1>年假</h1><p>One <b>bold</b>word
      here.<p>Two<br>three<table><tr><td>a<td>b</table><!-- hidden --><pre>if x:\n    y()\n</pre>"""
    (section,) = read(tmp_path / "a.html", page.encode("gbk")).sections
    assert section.title == "年假 page"
    assert [line for line in section.text.split("\n") if line] == [
        "年假", "One boldword here.", "Two", "three", "a b", "```", "if x:", "    y()", "```",
    ]  # fmt: skip


def test_deep_html_is_read(tmp_path: Path) -> None:
    pytest.importorskip("bs4")
    assert "deep" in read(tmp_path / "a.htm", "<div>" * 5000 + "deep").sections[0].text


def test_pdf_pages(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    found = read(tmp_path / "a.pdf", pdf("The first page", "", "The third"))
    assert [(s.name, s.text.strip()) for s in found.sections] == [("page 1", "The first page"), ("page 3", "The third")]
    assert "1 of 3 pages (2)" in found.notes[0]
    whole = pdf("The first page")
    for broken in (whole[: len(whole) // 3], b"%PDF-1.7\n" + bytes(range(256)) * 20, b"no pdf"):
        assert "broken PDF" in problem(tmp_path / "b.pdf", broken) or "no text" in problem(tmp_path / "b.pdf", broken)
    assert "OCR" in problem(tmp_path / "c.pdf", pdf(""))


def test_docx(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    document = docx.Document()
    document.add_heading("年假 rules", 1)
    document.add_paragraph("Fifteen days.")
    cells = document.add_table(1, 2).rows[0].cells
    cells[0].text, cells[1].text = "five years", "十五天"
    document.save(str(tmp_path / "a.docx"))
    raw = (tmp_path / "a.docx").read_bytes()
    (section,) = read(tmp_path / "b.docx", raw).sections
    assert section.text == "# 年假 rules\n\nFifteen days.\n\nfive years | 十五天\n" and section.title == "年假 rules"
    for broken in (raw[: len(raw) // 2], b"no zip"):
        assert "broken Word" in problem(tmp_path / "c.docx", broken)


def test_jsonl_rows(tmp_path: Path) -> None:
    rows = [json.dumps({"text": "年假十五天", "title": "T", "team": "hr", "n": 3}), "{broken", "[1]",
            json.dumps({"a": "one", "b": "two"}), '{"text": "\\ud800x"}', ""]  # fmt: skip
    found = read(tmp_path / "a.jsonl", "\n".join(rows))
    assert [(s.name, s.text, s.title, s.tags) for s in found.sections] == [
        ("line 1", "年假十五天", "T", ("team=hr", "n=3")), ("line 4", "one\ntwo", "", ()), ("line 5", "?x", "", ()),
    ]  # fmt: skip
    assert "2 rows left out (line 2" in found.notes[0]
    assert "line 1" in problem(tmp_path / "b.jsonl", "no json")
