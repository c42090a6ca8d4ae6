"""Source code: a file is a document, its kind names the language as GitHub's Linguist does (code:Python).

The licence is what an SPDX-License-Identifier among the first lines says, and nothing otherwise: a file beside the code
may speak for it, and may not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from luthier.core.errors import LuthierError
from luthier.corpus.reading import Bad, Row, Source
from luthier.data.encoding import document

ENDINGS = {
    ".py": "Python", ".pyi": "Python", ".pyx": "Cython", ".c": "C", ".h": "C", ".cc": "C++", ".cpp": "C++",
    ".cxx": "C++", ".hh": "C++", ".hpp": "C++", ".hxx": "C++", ".cu": "Cuda", ".cuh": "Cuda", ".cs": "C#",
    ".java": "Java", ".kt": "Kotlin", ".kts": "Kotlin", ".scala": "Scala", ".groovy": "Groovy", ".clj": "Clojure",
    ".js": "JavaScript", ".mjs": "JavaScript", ".cjs": "JavaScript", ".jsx": "JavaScript", ".ts": "TypeScript",
    ".tsx": "TSX", ".vue": "Vue", ".css": "CSS", ".scss": "SCSS", ".less": "Less", ".go": "Go", ".rs": "Rust",
    ".swift": "Swift", ".m": "Objective-C", ".mm": "Objective-C++", ".dart": "Dart", ".rb": "Ruby", ".php": "PHP",
    ".pl": "Perl", ".pm": "Perl", ".lua": "Lua", ".r": "R", ".jl": "Julia", ".hs": "Haskell", ".ml": "OCaml",
    ".mli": "OCaml", ".fs": "F#", ".fsx": "F#", ".erl": "Erlang", ".ex": "Elixir", ".exs": "Elixir",
    ".lisp": "Common Lisp", ".el": "Emacs Lisp", ".scm": "Scheme", ".rkt": "Racket", ".f90": "Fortran Free Form",
    ".f95": "Fortran Free Form", ".f": "Fortran", ".pas": "Pascal", ".adb": "Ada", ".ads": "Ada", ".zig": "Zig",
    ".nim": "Nim", ".d": "D", ".vb": "Visual Basic .NET", ".sh": "Shell", ".bash": "Shell", ".zsh": "Shell",
    ".ps1": "PowerShell", ".bat": "Batchfile", ".sql": "SQL", ".asm": "Assembly", ".s": "Assembly",
    ".vhd": "VHDL", ".vhdl": "VHDL", ".sv": "SystemVerilog", ".sol": "Solidity", ".cmake": "CMake",
    ".proto": "Protocol Buffer", ".lean": "Lean", ".tcl": "Tcl", ".awk": "Awk",
    ".cob": "COBOL", ".cbl": "COBOL", ".cljs": "Clojure", ".sc": "Scala", ".gradle": "Gradle",
    ".lhs": "Literate Haskell", ".elm": "Elm", ".hrl": "Erlang", ".fsi": "F#", ".f03": "Fortran Free Form",
    ".f08": "Fortran Free Form", ".for": "Fortran", ".nix": "Nix", ".psm1": "PowerShell", ".rake": "Ruby",
    ".ss": "Scheme", ".fish": "fish", ".mts": "TypeScript", ".cts": "TypeScript", ".v": "Verilog",
    ".svh": "SystemVerilog", ".lsp": "Common Lisp", ".cl": "Common Lisp",
}  # fmt: skip
KIND = "code"
FIRST = 40  # lines
# What else has the ending, by what stands in it.
OTHERS = {
    ".h": (("Objective-C", re.compile(r"^\s*(?:@interface|@protocol|@class|#import)\b", re.M)),
           ("C++", re.compile(r"^\s*(?:class|namespace|template|using|public:|private:|#include <[a-z_]+>)", re.M))),
    ".m": (("MATLAB", re.compile(r"^\s*(?:function\b|%|end\s*$)", re.M)),),
}  # fmt: skip
_NAME = r"[A-Za-z0-9.+()-]+"
_SPDX = re.compile(rf"SPDX-License-Identifier:[ \t]*({_NAME}(?:[ \t]+(?:AND|OR|WITH)[ \t]+{_NAME})*)")


def read(source: Source) -> Iterator[Row | Bad]:
    data = source.whole()
    try:
        text, _ = document(data)
    except LuthierError as error:
        yield Bad("binary" if b"\0" in data else "encoding", str(error))
        return
    yield Row(text, kind=f"code:{language(source.ending, text)}", licence=licence(text))


def language(ending: str, text: str) -> str:
    """The name of a programming language by a file's ending and, where several have it, by its text."""
    return next((name for name, mark in OTHERS.get(ending, ()) if mark.search(text)), ENDINGS[ending])


def licence(text: str) -> str:
    """What a file says of its licence."""
    found = _SPDX.search("\n".join(text[:20_000].splitlines()[:FIRST]))
    return found[1].rstrip("-") if found else ""  # of a comment's end, -->
