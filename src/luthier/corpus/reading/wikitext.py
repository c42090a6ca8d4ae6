"""Wiki markup as plain text: templates, tables, files and notes left out, links as their text, headings kept.

One walk over the markup with a stack of what is open, so that time grows with the text alone; what is never closed is
text. A helper of `mediawiki`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from luthier.corpus.reading.xml_events import unescaped

DROPPED = frozenset(("file", "image", "media", "category"))  # namespaces of links that show no text
KEPT = ("lang", "nowrap", "nobr", "small", "big", "transl", "transliteration")  # templates that only dress their text
DEEPEST = 64  # what opens deeper is text, so that nothing is copied more often
UNSEEN = ("ref", "references", "gallery", "timeline", "imagemap", "score", "graph", "templatestyles", "mapframe",
          "maplink", "table", "indicator", "style", "hiero", "categorytree", "inputbox")  # fmt: skip
LITERAL = ("nowiki", "math", "chem", "ce", "pre", "syntaxhighlight", "source")
BLOCKS = ("br", "p", "div", "li", "ul", "ol", "dl", "dd", "dt", "hr", "blockquote", "center", "poem",
          "h1", "h2", "h3", "h4", "h5", "h6")  # fmt: skip
INLINE = ("span", "b", "i", "u", "s", "em", "strong", "sup", "sub", "small", "big", "code", "tt", "font", "abbr", "q",
          "var", "cite", "del", "ins", "kbd", "samp", "bdi", "bdo", "ruby", "rb", "rt", "rp", "onlyinclude",
          "noinclude", "includeonly", "section", "wbr", "strike", "mark", "dfn", "tr", "td", "th")  # fmt: skip
_TOKEN = re.compile(
    r"^[ \t:]*+\{\||^[ \t]*+\|\}(?!\})|\{{2,}|\}{2,}"
    r"|\[\[(?P<link>[^\[\]{}|<&\n]*+)(?P<label>\|[^\[\]{}|<&\n]*+)?\]\]|\[\[|\]\]|\||<!--"
    r"|<(?P<end>/?)(?P<tag>[a-z][a-z0-9]*+)(?=[\s/>])[^<>]*>",
    re.I | re.M,
)
_MARKED = "\ue000{}\ue001"  # stands for text that is no markup
_PRIVATE = re.compile("[\ue000\ue001]")
_OUTER = re.compile(r"\[(?:https?:|ftp:|mailto:)?//[^\s\[\]]*+[ \t]?([^\[\]\n]*+)\]")
_VARIANT = re.compile(r"-\{([^{}]*+)\}-")  # one word in several writings of Chinese
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*")


@dataclass(slots=True)
class _Frame:
    """What is open. kind: of the mark that opened it: { [ t(able), or "" for the page. count: of braces."""

    kind: str = ""
    mark: str = ""
    count: int = 0
    fields: list[list[str]] = field(default_factory=lambda: [[]])

    def texts(self) -> list[str]:
        return ["".join(parts) for parts in self.fields]


def plain(markup: str, dropped: frozenset[str] = DROPPED) -> str:
    """The text of a page. dropped: the namespaces of links without text, in small letters."""
    walk = _Walk(markup, dropped)
    return walk.literal(_lines(_inline(walk.run()))).strip("\n")


class _Walk:
    """One walk over a page's markup."""

    def __init__(self, markup: str, dropped: frozenset[str]) -> None:
        self.text, self.dropped = _PRIVATE.sub("", markup), dropped
        self.stack = [_Frame()]
        self.literals: list[str] = []
        self.missing: set[str] = set()  # tags that nothing closes any more

    def run(self) -> str:
        at = 0
        while found := _TOKEN.search(self.text, at):
            self.say(_shown(self.text[at : found.start()]))
            at = self.token(found)
        self.say(_shown(self.text[at:]))
        return "".join(frame.mark + "|".join(frame.texts()) for frame in self.stack)

    def say(self, text: str) -> None:
        self.stack[-1].fields[-1].append(text)

    def token(self, found: re.Match[str]) -> int:
        """Do what a mark says; where to go on."""
        if found["link"] is not None:  # what most marks are, with nothing else in it
            self.say(self.link([found["link"], (found["label"] or "")[1:]]))
            return found.end()
        mark = found[0].strip(" \t:") if found["tag"] is None else "<"
        top = self.stack[-1]
        if mark == "<":
            return self.tag(found)
        if mark == "<!--":
            end = self.text.find("-->", found.end())
            return end + 3 if end >= 0 else len(self.text)
        if mark in ("[[", "{|") or mark.startswith("{{"):
            if len(self.stack) > DEEPEST:
                self.say(mark)
            else:
                kind = "t" if mark == "{|" else mark[0]
                self.stack.append(_Frame(kind, "" if kind == "t" else mark, len(mark)))
        elif mark.startswith("}}"):
            self.braces(len(mark))
        elif mark == "]]" and top.kind == "[":
            self.stack.pop()
            self.say(self.link(top.texts()))
        elif mark == "|}" and (at := self.nearest("t")):
            del self.stack[at:]
            self.say("\n")
        elif mark == "|" and top.kind in ("[", "{"):
            top.fields.append([])
        else:
            self.say(mark)
        return found.end()

    def nearest(self, kind: str) -> int:
        """Where in the stack the last of a kind stands, 0 for nowhere."""
        return next((at for at in range(len(self.stack) - 1, 0, -1) if self.stack[at].kind == kind), 0)

    def braces(self, count: int) -> None:
        """Close templates and parameters: three braces of three, two of two."""
        while count >= 2 and (at := self.nearest("{")):
            frame = self.stack[at]
            del self.stack[at + 1 :]
            closed = 3 if min(count, frame.count) >= 3 else 2
            count, frame.count = count - closed, frame.count - closed
            name, *values = frame.texts()
            shown = values[-1] if closed == 2 and values and name.strip().lower() in KEPT else ""
            if frame.count < 2:
                self.stack.pop()
                self.say("{" * frame.count + shown)
            else:
                frame.mark, frame.fields = "{" * frame.count, [[shown]]
        self.say("}" * count)

    def link(self, fields: list[str]) -> str:
        """What a link shows."""
        target, label = fields[0].strip(), "|".join(fields[1:]).strip()
        space = target.partition(":")[0].strip() if ":" in target else ""
        if space.lower() in self.dropped or (not label and space and _LANGUAGE.fullmatch(space)):
            return ""
        return label or target.lstrip(":#")

    def tag(self, found: re.Match[str]) -> int:
        """Pass an HTML tag, with all it holds where that is not for reading."""
        name, at = found["tag"].lower(), found.end()
        if name in BLOCKS:
            self.say("\n")
        elif name not in (*INLINE, *UNSEEN, *LITERAL):
            self.say(found[0])
        elif name in (*UNSEEN, *LITERAL) and not found["end"] and not found[0].endswith("/>"):
            end = None if name in self.missing else re.compile(rf"</{name}\s*+>", re.I).search(self.text, at)
            if end is None:
                self.missing.add(name)
                return at
            if name in LITERAL:
                inside = unescaped(self.text[at : end.start()])
                formula = name in ("math", "chem", "ce")
                self.literals.append(f"${inside.strip()}$" if formula else inside)
                self.say(_MARKED.format(len(self.literals) - 1))
            return end.end()
        return at

    def literal(self, text: str) -> str:
        """The text with what is no markup put in."""
        return re.sub("\ue000(\\d+)\ue001", lambda found: self.literals[int(found[1])], text)


def _shown(text: str) -> str:
    """Text without references, and without our own marks, which they may write."""
    return _PRIVATE.sub("", unescaped(text)) if "&" in text else text


def _inline(text: str) -> str:
    """Without bold, links to outside, switches."""
    text = _VARIANT.sub(_variant, text)
    text = re.sub("'{2,5}", "", text)
    text = _OUTER.sub(r"\1", text)
    text = re.sub(r"__[A-Z]++__", "", text)
    text = re.sub(r" ?[(（][ \t,;，；、]*+[)）]", "", text)  # what is left around templates
    text = re.sub(r"(?<=\()[ \t]*+[,;][ \t]++|[,;][ \t]++(?=\))", "", text)
    return re.sub(r"[ \t]{2,}", " ", text)


def _variant(found: re.Match[str]) -> str:
    flags, bar, rest = found[1].rpartition("|")
    if bar and flags.strip() in ("H", "T", "-", "D"):
        return ""
    return (rest if bar else found[1]).split(";")[0].rpartition(":")[2]


def _lines(text: str) -> str:
    """Without the marks of lists and headings, without headings that have nothing beneath, without rows of tables."""
    kept: list[str] = []
    below = 0  # the level of what comes next: of a heading, 9 for text, 0 for the end
    for line, level in reversed(list(_leveled(text))):
        if level and level >= below and below < 9:
            continue
        if line or (kept and kept[-1]):
            kept.append(line)
        below = level or (9 if line.strip() else below)
    return "\n".join(reversed(kept))


def _leveled(text: str) -> Iterator[tuple[str, int]]:
    for raw in text.split("\n"):
        line = raw.strip()
        if len(line) > 2 and line[0] == line[-1] == "=" and (title := line.strip("= ")):
            yield title, min(len(line) - len(line.lstrip("=")), 6)
        elif line.startswith("|") or re.fullmatch("-{4,}", line):
            continue
        else:
            marks = re.match(r"[*#:;]+[ \t]*", line)
            rest = line[marks.end() :] if marks else line
            yield ("- " + rest if rest and marks and marks[0].strip(" \t")[-1] in "*#" else rest), 0
