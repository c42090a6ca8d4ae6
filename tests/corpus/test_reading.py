"""Readers of further file kinds: what they find and what they leave out."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pytest

pa = pytest.importorskip("pyarrow")
pytest.importorskip("resiliparse")
pytest.importorskip("fastwarc")
from files_read import (  # noqa: E402
    BINARY,
    DUMP,
    KEPT,
    LAYOUTS,
    MARKUP,
    MILL,
    NO_JSON,
    OPF,
    PAGE,
    PAGES,
    POSTS,
    RECORDS,
    RIVER,
    TEX,
    WIKI,
    XML,
    ZH,
    Read,
    epub,
    reasons,
    record,
    tar,
    texts,
)
from luthier.corpus.reading import Bad, Row, Source, kinds, rows_of, wikitext  # noqa: E402
from luthier.corpus.reading.html import page_of, text_of  # noqa: E402
from pdfs import pdf  # noqa: E402


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def found(name: str, data: bytes | str) -> list[Row | Bad]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return list(rows_of(Source(path, name)))

    return found


@pytest.mark.parametrize("name", PAGES)
def test_pages(name: str) -> None:
    html, wanted, unwanted = PAGES[name]
    text = page_of(html).text + "\n"
    assert [part for part in wanted if part not in text] == [] == [part for part in unwanted if part in text]
    assert wanted or not text.strip()


@pytest.mark.parametrize(
    "named", ["gb18030", "gb2312", "big5", "utf-8 ", "utf-16 ", "nonsense", "punycode", "x utf-16"]
)
def test_the_encoding_of_a_page(named: str, read: Read) -> None:
    said = "這條河發源於城北的山裡，流過九十里才入海。" if named == "big5" else ZH
    html = f"<html lang='zh-CN'><head><meta charset='{named.split()[0]}'></head><body><p>{said}</p></body></html>"
    codec = "big5" if named == "big5" else "utf-16" if "x" in named else "utf-8" if named.endswith(" ") else "gb18030"
    assert read("page.htm", html.encode(codec)) == [Row(said, kind="html", language="zh")]
    assert text_of("<p>日本語の文章です".encode("iso2022_jp"), "ISO-2022-JP") == "<p>日本語の文章です"


def test_pages_that_are_none(read: Read) -> None:
    assert reasons(read("a.html", PAGES["program"][0])) == ["no_text"] == reasons(read("b.html", ""))
    for html in ("<div>" * 3000 + "x", "<p " + " ".join(f"a{n}=1" for n in range(3000)) + ">x", BINARY):
        assert reasons(read("c.html", html)) == ["unreadable"]
    script = "<script>if(a<b " + "c d " * 3000 + "</script>"  # is like a tag with too many attributes
    assert texts(read("d.html", f"{script}<p>{RIVER}\0")) == [RIVER]
    assert reasons(read("e.html", b"<p>" + b"x" * (16 << 20))) == ["too_large"]


def test_a_book_is_its_chapters_in_their_order(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    missing, row = read("book.epub", epub())
    assert isinstance(missing, Bad) and missing.place == "../etc/passwd"
    assert row == Row(f"The Weir\n\n{RIVER}\n\n{MILL}", "", "isbn:1", "epub", "en", "Public domain")
    assert texts(read("book.epub.gz", gzip.compress(epub()))) == texts([row])
    assert reasons(read("cut.epub", epub()[:-40])) == ["broken_file"]
    assert "DRM" in str(read("locked.epub", epub(more='<e><CipherReference URI="in/two.xhtml"/></e>')))
    assert reasons(read("no.epub", epub("<package/>"))) == ["no_text"]
    assert reasons(read("bomb.epub", epub(f'<!DOCTYPE a [<!ENTITY b "{"x" * 99}">]>{OPF}'))) == ["unreadable"]
    monkeypatch.setattr("luthier.corpus.reading.epub.LARGEST", 100)
    assert reasons(read("large.epub", epub())) == ["too_large"]


def test_answers_of_servers(read: Read) -> None:
    found = read("a.warc", b"".join(RECORDS))
    assert texts(found) == [RIVER, ZH, "plain", "of WET", RIVER, RIVER] and reasons(found) == ["status", "not_text"]
    assert found[0] == Row(RIVER, "http://a/1", kind="html") and found[3] == Row(ZH, "http://a/5", "", "html", "zh")
    many = b"".join(map(gzip.compress, RECORDS))
    assert read("a.warc.gz", many) == found == read("b.warc.gz", gzip.compress(b"".join(RECORDS)))
    assert read("a.warc.zst", b"".join(pa.compress(each, "zstd", asbytes=True) for each in RECORDS)) == found
    assert read("a.warc.xz", lzma.compress(b"".join(RECORDS))) == found and reasons(read("e.warc", b"")) == ["empty"]


def test_pdfs_that_servers_answered_with(read: Read) -> None:
    pytest.importorskip("pypdf")
    given = [record(1, pdf("One page", "Another"), "application/pdf"), record(2, b"%PDF broken", "application/pdf")]
    found = read("a.warc", b"".join([*given, record(3, PAGE)]))
    assert found[0] == Row("One page\n\nAnother", "http://a/1", kind="pdf") and texts(found[2:]) == [RIVER]
    assert (found[1].place, reasons(found)) == ("http://a/2", ["unreadable"])


@pytest.mark.parametrize("packed", [False, True])
def test_a_cut_archive_gives_what_came_before(packed: bool, read: Read) -> None:
    parts = [gzip.compress(each) if packed else each for each in RECORDS[:3]]
    whole, name = b"".join(parts), "a.warc.gz" if packed else "a.warc"
    first, second = len(parts[0]), len(parts[0]) + len(parts[1])
    for cut in range(1, len(whole), 5):
        found = read(name, whole[:cut])
        assert texts(found) in ([], [RIVER]) and (texts(found) or cut < second)
        # The last four bytes of a record say nothing, and a packed one may stand before them.
        assert reasons(found)[-1:] == ["broken_file"] or any(
            end - 4 <= cut <= end for end in (first, second, len(whole))
        )


def test_code(read: Read) -> None:
    text = "# SPDX-License-Identifier: MIT OR Apache-2.0\nx = 1\n"
    assert read("a.py", text) == [Row(text, kind="code:Python", licence="MIT OR Apache-2.0")]
    for name, text, kind in (("a.h", "int a;", "C"), ("a.h", "namespace a {", "C++"), ("b.m", "function a()", "MATLAB"),
                             ("b.m", "#import <a.h>", "Objective-C"), ("A.RS", "fn", "Rust")):  # fmt: skip
        assert read(name, text) == [Row(text, kind=f"code:{kind}")] == read(f"{name}.gz", gzip.compress(text.encode()))
    assert reasons(read("a.c", BINARY)) == ["binary"] and reasons(read("b.c", "")) == ["empty"]
    late = "\n" * 40 + "/* SPDX-License-Identifier: MIT */"
    assert [getattr(read("c.c", text)[0], "licence", None) for text in (late, late[1:])] == ["", "MIT"]
    assert not {".md", ".txt", ".json", ".html", ".tex"} & {e for e, p in kinds().items() if p.name == "code"}


def test_tex(read: Read, tmp_path: Path) -> None:
    read("outside.tex", "OUTSIDE")
    read("p/part.tex", "The part% of it\n\n\\input{sub/deep}")
    read("p/sub/deep.tex", "deep \\input{part}")
    (row,) = read("p/main.tex", TEX)
    assert isinstance(row, Row) and row.kind == "latex"
    assert row.text.startswith("On \\mathbb{R} and 50\\% more\n\n\\maketitle") and all(
        part in row.text for part in KEPT
    )
    assert not any(
        part in row.text for part in ("secret", "never", "OUTSIDE", "Dropped", "refs", "class", "behind", "Money")
    )
    (tmp_path / "p" / "link.tex").symlink_to(tmp_path / "outside.tex")
    for name in ("link", str(tmp_path / "outside"), "sub/../../outside"):
        assert "OUTSIDE" not in texts(read("p/b.tex", f"\\begin{{document}}a\\input{{{name}}}b"))[0]
    assert reasons(read("c.tex", "just a part")) == ["no_document"]


def test_archives_of_sources(read: Read) -> None:
    other = TEX.replace("{main}", "").encode()
    paper = tar({"a/main.tex": TEX.encode(), "a/part.tex": b"PART", "a/sub.tex": other, "x.png": b"x" * 2000})
    both = read("paper.tar", paper)
    assert [each.place for each in both] == ["a/main.tex", "a/sub.tex"] and all("PART" in text for text in texts(both))
    assert read("paper.tar.gz", gzip.compress(paper)) == both == read("paper.tgz", gzip.compress(paper))
    one = gzip.compress(rb"\documentclass{a}\begin{document}One.\end{document}")
    found = read("month.tar", tar({"m/1.gz": gzip.compress(paper), "m/2.gz": one, "m/2001.00003.pdf": b"%"}))
    assert [each.place for each in found] == ["m/1.gz/a/main.tex", "m/1.gz/a/sub.tex", "m/2.gz", "m/2001.00003.pdf"]
    assert reasons(found) == ["not_text"] and reasons(read("none.tar", tar({"a.txt": b"a"}))) == ["no_document"]
    for cut in range(1, paper.index(b"x" * 2000) + 2000, 300):
        assert reasons(read("cut.tar", paper[:cut])) == ["broken_file"]


def test_wiki_markup() -> None:
    assert wikitext.plain(WIKI, frozenset(("file", "kategorie"))) == (
        "The Foo (la foue) is a river in the Republic.\n\nHistory\nText & $a|b$, its site.\n- one"
    )
    assert {markup: wikitext.plain(markup) for markup in MARKUP} == MARKUP


def test_dumps(read: Read) -> None:
    found = read("wiki.xml", DUMP)
    assert found[0] == Row("T1\n\nA b.", "page 1", "1", "wiki", "de")
    assert reasons(found) == ["namespace", "redirect", "no_text"]
    assert read("wiki.xml.bz2", bz2.compress(DUMP.encode())) == found
    assert reasons(read("cut.xml", DUMP[:-60])) == [*reasons(found)[:-1], "broken_file"]
    cut = read("cut.xml.gz", gzip.compress(DUMP.encode())[:-40])
    assert texts(cut) == texts(found) and reasons(cut)[-1] == "broken_file"
    assert {xml: reasons(read("a.xml", xml)) for xml in XML} == {xml: [reason] for xml, reason in XML.items()}


def test_questions_with_their_answers(read: Read) -> None:
    text = "Q: Why?\n\nIn C:\n\n```\na b < 2\n```\n\nA: accepted\n\nA: - good\n\nA: bad"
    found = read("Posts.xml", POSTS)
    assert found[2] == Row(text, "post 1", "1", "conversation", "", "CC-BY-SA-4.0")
    assert reasons(found) == ["no_post", "broken_row", "no_question"] and len(found) == 4
    cut = read("Posts.xml", POSTS[:-40])
    assert texts(cut) == [text] and reasons(cut) == ["no_question", "broken_file"]


def test_conversations(read: Read) -> None:
    for given_, said in LAYOUTS:
        data = json.dumps(given_)
        assert texts(read("a.json", data)) == said == texts(read("b.json", data.encode("utf-16")))
        if isinstance(given_, list) and all(isinstance(item, dict) and "role" not in item for item in given_):
            assert texts(read("a.jsonl", "\n".join(map(json.dumps, given_)))) == said
    kept = [{"text": "page", "thread": ["a", "b"]}, {"content": "page", "question": "Hi", "answer": "Hello"}]
    assert (
        texts(read("d.jsonl", "\n".join(map(json.dumps, kept))))
        == ["page"] * 2
        == texts(read("d.json", json.dumps(kept)))
    )
    half = '{"text": "said", "kind": "\\ud800", "lang": "\\ud800", "license": "\\udfff", "id": "\\ud800"}'
    assert read("e.jsonl", half) == [Row("said", "line 1", *"????")]  # what no file can hold
    assert {data: reasons(read("c.json", data)) for data in NO_JSON} == {data: [why] for data, why in NO_JSON.items()}
