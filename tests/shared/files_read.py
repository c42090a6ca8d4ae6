"""Small files of every kind, as people have them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import strategies as st

pa = pytest.importorskip("pyarrow")
pytest.importorskip("resiliparse")
pytest.importorskip("fastwarc")
from luthier.corpus.reading import Bad, Row  # noqa: E402

Read = Callable[[str, bytes | str], list[Row | Bad]]
BINARY = b"\x7fELF\0\0\1" + bytes(range(256)) * 4


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
