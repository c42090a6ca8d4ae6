"""Readers of further file kinds: what they find, what they leave out, and that nothing brings them down."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pa = pytest.importorskip("pyarrow")
pytest.importorskip("resiliparse")
pytest.importorskip("fastwarc")
from luthier.corpus import reading  # noqa: E402
from luthier.corpus.reading import Bad, Row, Source, kinds, rows_of, tex, wikitext  # noqa: E402
from luthier.corpus.reading.html import page_of, text_of  # noqa: E402
from pdfs import pdf  # noqa: E402

Read = Callable[[str, bytes | str], list[Row | Bad]]
BINARY = b"\x7fELF\0\0\1" + bytes(range(256)) * 4


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def found(name: str, data: bytes | str) -> list[Row | Bad]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return list(rows_of(Source(path, name)))

    return found


def texts(found: list[Row | Bad]) -> list[str]:
    return [each.text for each in found if isinstance(each, Row)]


def reasons(found: list[Row | Bad]) -> list[str]:
    return [each.reason for each in found if isinstance(each, Bad)]


# fmt: off
RIVER = "The river rises in the hills north of the town and runs for ninety miles before it meets the sea."
MILL = "In 1841 the miller built a weir of oak beams, which raised the water by two feet until it was dredged."
ZH = "这条河发源于城北的山里，流过九十里才入海。一年中大部分时间，河水缓慢而浑浊，带着落叶和偶尔漂来的木板。"
NAV = "<nav><ul><li><a href=/>Home</a></li><li><a href=/n>All news</a></li><li><a href=/c>Contact</a></li></ul></nav>"
COOKIE = "<div id=cookie-banner class=cookie-consent><p>We use cookies, and ask you.</p><button>OK</button></div>"
FOOT = "<footer><p>Copyright 2024 The Courier.</p><a href=/p>Privacy policy</a></footer>"
SIDE = "<aside class=sidebar><h3>Most read</h3><ul><li><a href=/1>Ten bridges to see</a></li></ul></aside>"
FRAME = ["All news", "Contact", "use cookies", "Copyright", "Privacy policy", "Ten bridges", "tracker", "Courier"]
CODE = "<pre><code>def weir(height):\n    if height &lt; 2:\n        return None\n</code></pre>"
TABLE = "<table><tr><th>Year</th><th>Level</th></tr><tr><td>1911</td><td>4.2</td></tr><tr><td>1912<td>11.7"

def framed(main: str) -> str:
    return (f"<!DOCTYPE html><html lang=en-GB><head><title>T</title><script>tracker()</script></head><body>{COOKIE}"
            f"<header><a href=/>The Courier</a>{NAV}</header><main>{main}</main>{SIDE}{FOOT}</body></html>")

PAGES: dict[str, tuple[str, list[str], list[str]]] = {
    "article": (framed(f"<article><h1>The weir</h1><p>{RIVER}</p><h2>A flood</h2><p>{MILL}</p></article>"),
                ["The weir\n\n", "meets the sea.\n\nA flood\n\nIn 1841"], FRAME),
    "divs": (f"<body><div id=menu><ul><li><a href=a>All news</a></ul></div><div id=content><h1>The weir</h1>"
             f"<div>{RIVER}</div><div>{MILL}</div></div><div id=footer>Copyright</div>", ["weir", "dredged"], FRAME),
    "code": (framed(f"<h1>Computing</h1><p>{RIVER}</p>{CODE}<p>{MILL}</p>"),
             ["\ndef weir(height):\n    if height < 2:\n        return None\n", "Computing", "dredged"], FRAME),
    "table": (framed(f"<h1>Levels</h1><p>{RIVER}</p>{TABLE}</table>"), ["Levels", "Level\n1911\t", "11.7"], FRAME),
    "breaks": (f"<html lang=zh><body><ul class=menu><li><a href=/n>新闻中心</a></ul><p>{ZH}<br>{ZH}",
               ["偶尔漂来的木板。\n", "这条河发源于"], ["新闻中心"]),
    "blog": (framed(f"<div class=post><h1>My week</h1><p>{RIVER}</p></div><div id=comments class=comments><p>First!"),
             ["My week", "the sea"], [*FRAME, "First!"]),
    "recipe": (framed("<h1>Bread</h1><p>A loaf.</p><ul><li>500 g flour</li><li>10 g salt</li></ul><ol><li>Mix it."),
               ["Bread", "A loaf", "500 g flour", "10 g salt", "Mix it"], FRAME),
    "short": (framed("<h1>Notice</h1><p>The ferry does not run.</p>"), ["Notice", "does not run."], FRAME),
    "forum": (framed("<h1>Which wood?</h1><div class=post><div>ann</div><div>Larch.</div></div><div>Oak, if you "
                     "can pay.</div>"), ["Which wood?", "Larch.", "Oak, if you can"], FRAME),
    "links": (framed("<ul><li><a href=/1>One</a><li><a href=/2>Two</a></ul>"), [], [*FRAME, "One", "Two"]),
    "no article": (framed(""), [], FRAME),
    "program": ("<body><noscript>Enable it.</noscript><div id=a></div><script>boot()</script>", [], ["Enable", "boot"]),
}
X = "application/xhtml+xml"
OPF = (
    '<?xml version="1.0"?><package xmlns:dc="d"><metadata><dc:title>The  Weir</dc:title><dc:language>en</dc:language>'
    "<dc:identifier>isbn:1</dc:identifier><dc:rights>Public domain</dc:rights></metadata><manifest>"
    f'<item id="a" href="b%20c.xhtml" media-type="{X}"/><item id="n" href="n.htm" media-type="{X}" properties="nav"/>'
    f'<item id="b" href="two.xhtml#x" media-type="{X}"/><item id="c" href="../../etc/passwd" media-type="text/html"/>'
    '</manifest><spine><itemref idref="b"/><itemref idref="n"/><itemref idref="a"/><itemref idref="c"/></spine>'
    "</package>"
)
CHAPTER = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body><p>{}</p></body>'

def epub(opf: str = OPF, more: str = "") -> bytes:
    files = {"META-INF/container.xml": '<container><rootfile full-path="in/a.opf"/></container>', "in/a.opf": opf,
             "in/b c.xhtml": CHAPTER.format(MILL), "in/two.xhtml": CHAPTER.format(RIVER)}
    with zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (files | ({"META-INF/encryption.xml": more} if more else {})).items():
            archive.writestr(name, text)
    return file.getvalue()

def record(at: int, body: bytes, head: str = "text/html", status: int = 200, kind: str = "response") -> bytes:
    block = f"HTTP/1.1 {status} X\r\ncontent-type: {head}\r\n\r\n".encode() * (kind != "conversion") + body
    of = "text/plain" if kind == "conversion" else f"application/http; msgtype={kind}"
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://a/{at}\r\nContent-Type: {of}\r\nContent-Length:"
    return f"{head} {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"

PAGE, CHUNKED = f"<p>{RIVER}</p>".encode(), "text/html\r\nTransfer-Encoding: chunked"
RECORDS = [
    record(0, b"", kind="warcinfo"), record(1, PAGE), record(2, PAGE, status=404), record(3, b"\x89PNG", "image/png"),
    record(4, b"", kind="request"), record(5, f"<html lang=zh><p>{ZH}".encode("gb18030"), "TEXT/HTML; charset=GB2312"),
    record(6, b"plain", "text/plain"), record(7, b"of WET", kind="conversion"),
    record(8, gzip.compress(PAGE), "text/html\r\nContent-Encoding: gzip"),
    record(9, b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE), PAGE), CHUNKED),
]
TEX = r"""\documentclass{article}
\newcommand{\R}{\mathbb{R}} \newcommand\eps{\varepsilon} \def\loop{\loop x} \newcommand{\two}[1]{#1#1}
\title{On \R\thanks{Money} and\\ 50\% more}
\begin{document}
\maketitle
Let $x\in\R$ and $\eps{}y$, % a secret
100\% sure. \two{a} \loop % \input{never}
\input{part}\input{../outside}\input{main}

\begin{verbatim}
50 % kept
\end{verbatim}
\cite{a}\bibliographystyle{plain}\bibliography{refs}
\begin{thebibliography}{9} \bibitem{a} Dropped. \end{thebibliography}
\end{document} behind
"""
KEPT = (r"$x\in\mathbb{R}$ and $\varepsilon{}y$, 100\% sure", "The part\n\ndeep ", "50 % kept", r"\two{a}", r"\cite{a}")

def tar(files: dict[str, bytes]) -> bytes:
    with tarfile.open(fileobj=(file := io.BytesIO()), mode="w") as archive:
        for name, data in files.items():
            (member := tarfile.TarInfo(name)).size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()

WIKI = """{{Infobox|name={{lang|fr|x}}|image=[[File:a.jpg]]}}
'''The Foo''' ({{lang|fr|la ''foue''}}, {{x|x}}) is a [[river]] in [[France|the Republic]].<ref>{{b}}</ref><!-- h -->
[[File:pic.jpg|thumb|A [[bank]] of it]] [[Kategorie:Rivers]][[de:Foo]]
== History ==
Text &amp; <math>a|b</math>, [http://x.org its site]{{{p|q}}}.
* one
=== Empty ===
{| class=x
| a {{b}} || c
|}
== References ==
{{reflist}}
"""
MARKUP = {"[[a|b": "[[a|b", "{{a": "{{a", "a]] }}": "a]] }}", "{{{a}}} b": "b", "a <x and y> d": "a <x and y> d",
          "-{zh-hans:计算机;zh-hant:電腦}-": "计算机", "<nowiki>[[a]]</nowiki>": "[[a]]", "a<br/>b": "a\nb",
          "&#xe000;0&#xe001;<pre>x</pre>": "0x", f"&#{'9' * 5000};": "\ufffd"}
DUMP = '<mediawiki xml:lang="de"><siteinfo><namespace key="6">Datei</namespace></siteinfo>' + "".join(
    f"<page><title>T{n}</title><ns>{ns}</ns><id>{n}</id>{more}<revision><id>9</id><text>{text}</text></revision></page>"
    for n, ns, more, text in ((1, 0, "", "A [[Datei:x]]b."), (2, 1, "", ""), (3, 0, "<redirect/>", ""), (4, 0, "", ""))
) + "</mediawiki>"
LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 9}">' for n in range(1, 9))
XML = {f'<!DOCTYPE a [<!ENTITY a0 "ha">{LAUGHS}]><mediawiki>&a8;</mediawiki>': "unsafe_xml", "<rss/>": "unknown_xml",
       "<mediawiki>" + "<a>" * 999: "unsafe_xml", "": "broken_file", "<posts></posts>": "empty"}
POSTS = """<?xml version="1.0"?><posts>
<row Id="1" PostTypeId="1" AcceptedAnswerId="4" Title="Why?" Body="&lt;p&gt;In &lt;b&gt;C&lt;/b&gt;:&lt;pre&gt;a
b &amp;lt; 2&lt;/pre&gt;" ContentLicense="CC BY-SA 4.0" />
<row Id="2" PostTypeId="2" ParentId="1" Score="-1" Body="&lt;p&gt;bad" ContentLicense="CC BY-SA 4.0" />
<row Id="3" PostTypeId="2" ParentId="1" Score="7" Body="&lt;ul&gt;&lt;li&gt;good&lt;/li&gt;&lt;/ul&gt;" />
<row Id="4" PostTypeId="2" ParentId="1" Score="2" Body="accepted" />
<row Id="5" PostTypeId="2" ParentId="9" Body="lost" /><row Id="6" PostTypeId="5" /><row PostTypeId="1" /></posts>"""
TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]}]
SHARE = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}
SAID = "user: Hi\nassistant: Hello"
LAYOUTS: list[tuple[object, list[str]]] = [
    ([{"messages": TURNS, "id": 7}], [SAID]), ({"messages": TURNS}, [SAID]), (TURNS, [SAID]), ([SHARE], [SAID]),
    ({"conversations": [SHARE]}, [SAID]), ([["Hi", "Hello"], ["Bye"]], ["Hi\nHello", "Bye"]),
    ({"data": [{"text": "one"}, {"content": "two", "lang": "en"}]}, ["one", "two"]), (["one", "\ud800"], ["one", "?"]),
    ([{"author": "A", "text": "one"}], ["one"]), ([{"question": "Hi", "answer": "Hello"}], [SAID]),
    ([{"instruction": "Add", "input": "1 2", "output": "3"}], ["user: Add\n1 2\nassistant: 3"]),
]
NO_JSON = {"": "empty", "{": "broken_file", "[" * 99999: "broken_file", "5": "no_text", '{"a": 1}': "no_text",
           "[1]": "broken_row", '[{"messages": []}]': "no_text", '[{"a": 1}]': "no_text"}
SAMPLES: dict[str, bytes] = {
    "a.html": PAGES["article"][0].encode(), "a.epub": epub(), "a.warc": b"".join(RECORDS), "a.py": b"x = 1\n",
    "a.warc.gz": b"".join(map(gzip.compress, RECORDS)), "a.tex": TEX.encode(), "a.tar": tar({"m.tex": TEX.encode()}),
    "a.tgz": gzip.compress(tar({"m.tex": TEX.encode()})), "a.xml": DUMP.encode(), "b.xml": POSTS.encode(),
    "a.xml.bz2": bz2.compress(DUMP.encode()), "a.json": json.dumps([{"messages": TURNS}]).encode(), "a.xml.zst": b"",
}
CHANGE = st.tuples(st.integers(0, 1 << 16), st.integers(0, 40), st.binary(max_size=12))
MARKS = [*"{}|*0= &]", "{{", "}}", "[[", "]]", "{|\n", "\n|}", "<ref>", "</ref>", "<!--", "-->", "<math>", "==", "\n",
         "-{", "}-", "[http://x ", "<br>", "&#xe000;", "lang", "File:", "{{a|", "[[a|", "<a ", "''"]
TEX_MARKS = [*"{}%\n\\[] #", "\\begin{document}", "\\end{document}", "\\title{", "\\newcommand{\\a}{", "\\a",
             "\\begin{verbatim}", "\\end{verbatim}", "\\begin{comment}", "\\end{comment}", "\\input{a}", "\\input b ",
             "\\begin{thebibliography}", "\\bibliography{", "\\thanks{", "\\title{a}", "\\newcommand{\\a}{\\a\\a}",
             "\\verb", "\\verb|", "\\def\\b"]

def made_of(marks: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(marks), max_size=60).map("".join) | st.text()
# fmt: on


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


@given(st.sampled_from(sorted(SAMPLES)), st.binary(max_size=200), st.lists(CHANGE, max_size=4))
@settings(deadline=None, max_examples=400)
def test_no_bytes_bring_a_reader_down(
    tmp_path_factory: pytest.TempPathFactory, name: str, other: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    data = bytearray(SAMPLES[name] if changes else other)
    for at, cut, more in changes:
        data[at % (len(data) + 1) : at % (len(data) + 1) + cut] = more
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    for found in rows_of(Source(path, name)):
        assert isinstance(found, Row | Bad)
        "".join(map(str, found.__dict__.values())).encode()  # no half characters


@given(made_of(MARKS), made_of(TEX_MARKS))
@settings(deadline=None, max_examples=400)
def test_any_markup(wiki: str, written: str) -> None:
    text = wikitext.plain(wiki)
    assert len(text) <= 3 * len(wiki) + 9 and "\ue000" not in text
    assert isinstance(tex.body(written, lambda name: written), str) and len(tex.uncommented(written)) <= len(written)


@pytest.mark.parametrize("mark", [*MARKS, "{{}}", "[[a]]", "<ref", "{{lang|x|"])
def test_markup_without_end_is_one_walk(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    token = wikitext._Walk.token

    def counted(self: wikitext._Walk, found: re.Match[str]) -> int:
        nonlocal steps
        steps += 1
        return token(self, found)

    monkeypatch.setattr(wikitext._Walk, "token", counted)
    markup = mark * (100_000 // len(mark))
    assert len(wikitext.plain(markup)) <= 2 * len(markup) and steps <= len(markup)


@pytest.mark.parametrize("mark", [*TEX_MARKS, "\\\\", "{\\a"])
def test_tex_without_end_has_a_bound(mark: str) -> None:
    macros = "\\newcommand{\\a}{\\b\\b\\b}\\newcommand{\\b}{\\c\\c\\c}\\newcommand{\\c}{\\a\\a}\\begin{document}"
    text = macros + mark * (100_000 // len(mark))
    assert len(tex.body(text)) <= tex.SHORT * len(text)


def test_inputs_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {f"f{n}": f"x\\input{{f{n + 1}}}" * 20 for n in range(30)}
    assert len(tex.body("\\begin{document}\\input{f0}", tree.get)) < 200_000
    monkeypatch.setattr(tex, "LARGEST", 1000)
    with pytest.raises(reading.TooLargeError):
        tex.body("\\begin{document}\\input{f0}", tree.get)
