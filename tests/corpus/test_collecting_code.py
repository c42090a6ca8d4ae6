"""Code from repositories made here, by language and licence."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("protego")

from ended import ending
from luthier.cli.collect import collect as command
from luthier.core.errors import LuthierError
from luthier.corpus.collecting import code
from luthier.corpus.collecting.licences import allowed, recognised


def git(at: Path, *arguments: str) -> str:
    known = ("-C", str(at), "-c", "user.name=t", "-c", "user.email=t@example.com")
    return subprocess.run(["git", *known, *arguments], check=True, capture_output=True, text=True).stdout


MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software.
The above copyright notice and this permission notice shall be included. THE SOFTWARE IS PROVIDED "AS IS"."""
FILES = {
    "LICENSE": MIT, "a.py": "print(1)\n", "src/b.c": "int main(void) { return 0; }\n", "notes.xyz": "other\n",
    "gpl.py": "# SPDX-License-Identifier: GPL-3.0-or-later\n", "sub/COPYING": "CC0 1.0 Universal", "sub/d.py": "y\n",
    "either.py": "# SPDX-License-Identifier: GPL-2.0-only OR MIT\n", "vendor/e.py": "z\n", "own/LICENSE": "mine",
    "own/f.py": "f\n", "g_pb2.py": "g\n", "h.py": "# generated: DO NOT EDIT\n", "i.py": "", "中文.py": "甲\n",
    "j.min.js": "j\n", "k.js": "k" * 2000, "l.py": "l\0l", "m.py": "m" * (1 << 20 | 1), "license.py": "n\n",
}  # fmt: skip


def repository(at: Path) -> Path:
    for name, text in FILES.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_text(text, "utf-8")
    (at / "gb.py").write_bytes("# 这是一个用旧编码写的程序，里面有很多中文注释\n".encode("gb18030"))
    (at / "o.py").symlink_to("/etc/passwd")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        git(at, *arguments)
    return at


def rows(out: Path) -> dict[str, dict[str, str]]:
    packed = b"".join(gzip.decompress(path.read_bytes()) for path in sorted((out / "code").glob("*.jsonl.gz")))
    found = [json.loads(line) for line in packed.decode().splitlines()]
    return {row["path"]: row for row in found}


def test_code(tmp_path: Path) -> None:
    """By language and licence; whatever is left out is counted; nothing that the repository names is run."""
    at, out, ran = repository(tmp_path / "repo"), tmp_path / "out", tmp_path / "ran"
    for key, value in (("promisor", "true"), ("url", "ssh://127.0.0.1/x")):
        git(at, "config", f"remote.origin.{key}", value)
    git(at, "config", "core.sshCommand", f"touch {ran}; false")
    (at / "a.py").write_text("print('not committed')\n")
    found, kept = code.collect([at], code.Wish(["python", "c", "JavaScript"]), out), rows(out)
    assert {path.removeprefix("repo/"): row["licence"] for path, row in kept.items()} == {
        **dict.fromkeys(("a.py", "src/b.c", "中文.py", "gb.py", "license.py"), "MIT"), "sub/d.py": "CC0-1.0",
        "either.py": "GPL-2.0-only OR MIT",
    }  # fmt: skip
    assert kept["repo/a.py"] == {**kept["repo/a.py"], "text": "print(1)\n", "language": "", "kind": "code:Python"}
    assert "中文注释" in kept["repo/gb.py"]["text"]
    assert found["left_out"] == {
        "binary": 1, "empty": 1, "generated": 2, "licence GPL-3.0-or-later": 1, "licence unknown": 1, "link": 1,
        "minified": 2, "other_language": 4, "too_large": 1, "vendored": 1,
    }  # fmt: skip
    assert found["files"] == found["kept"] + sum(found["left_out"].values()) and found["kept"] == len(kept)
    command(git=[at], languages="Python", licences="unknown, GPL-3.0", out=tmp_path / "other")
    assert set(rows(tmp_path / "other")) == {"repo/gpl.py", "repo/own/f.py"}
    with pytest.raises(LuthierError, match="one of"):
        command(["x"], git=[at])
    shutil.rmtree(at / ".git" / "objects" / git(at, "rev-parse", "HEAD:a.py")[:2])  # which git would fetch by ssh
    with pytest.raises(LuthierError, match="missing or damaged"):
        code.collect([at], code.Wish(), tmp_path / "lost")
    assert not ran.exists()
    gpl, lesser = "GNU GENERAL PUBLIC LICENSE\n  Version 2, June 1991", "GNU LESSER GENERAL PUBLIC LICENSE Version 2.1"
    assert recognised(gpl) == "GPL-2.0" and recognised(MIT + gpl) == "GPL-2.0 AND MIT"
    assert recognised(f"{lesser}, the GNU General Public License, version 2") == "LGPL-2.1"
    assert recognised(MIT + " Commons Clause") == recognised("All rights reserved.") == "unknown"
    assert allowed("GPL-2.0+", ["GPL-2.0"]) and not allowed("GPL-2.0-only", ["GPL-2.0-or-later"])
    assert all(allowed(licence, ["mit"]) for licence in ("MIT OR X", "MIT WITH Some-exception"))
    assert not any(allowed(licence, ["MIT"]) for licence in ("MIT AND X", "(MIT OR X) AND Y", ""))


def test_code_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended in the third part: the rest is done, of the same commit, and the bytes are those of an unbroken run."""
    at, out, whole = repository(tmp_path / "repo"), tmp_path / "out", tmp_path / "whole"
    monkeypatch.setattr(code, "FILES", 5)
    code.collect([at], code.Wish(), whole)
    with ending(code, "_one", lambda *given: given[-1].name == "00002.json"):
        code.collect([at], code.Wish(), out)
    assert not (out / "collected.json").exists()
    git(at, "rm", "-q", "a.py", "either.py")
    git(at, "commit", "-q", "-m", "y")
    code.collect([at], code.Wish(), out)
    for path in (*sorted((whole / "code").iterdir()), whole / "collected.json"):
        assert (out / path.relative_to(whole)).read_bytes() == path.read_bytes()
    for path, said in ((at, "choose another --out"), (at / "src", "no Git repository")):
        with pytest.raises(LuthierError, match=said):
            code.collect([path], code.Wish(["C"]), out if path == at else tmp_path / "x")
