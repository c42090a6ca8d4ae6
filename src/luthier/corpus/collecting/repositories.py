"""Git repositories read as data: what HEAD holds, blob by blob. Needs no working tree and runs nothing of theirs.

    path --rev-parse--> commit --ls-tree--> entries --cat-file --batch--> bytes

A repository's own configuration can name programs (hooks, file watchers, filters, transports). Commands here use none
of them, and what could start one is switched off: hooks, the file watcher, and fetching missing objects from a remote.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from luthier.core.errors import LuthierError

SAFE = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never", "--no-pager")
SETTINGS = {
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C",
}  # fmt: skip
LINK, MODULE = "120000", "160000"  # modes of symbolic links and of submodules


@dataclass(frozen=True)
class Entry:
    """A file of a commit. size: bytes; 0 for a submodule."""

    mode: str
    blob: str
    size: int
    path: str


@dataclass(frozen=True)
class Repository:
    """A folder with .git, or a bare one. name: as paths of its documents begin."""

    path: Path
    name: str

    def head(self) -> str:
        """The commit. Raises LuthierError for what is no repository, or has none."""
        if not self.path.is_dir():
            raise LuthierError(f"{self.path}: no such folder")
        done = self._run("rev-parse", "--verify", "--end-of-options", "HEAD^{commit}")
        if done.returncode:
            said = " ".join(done.stderr.decode(errors="replace").split())[:200]
            raise LuthierError(f"{self.path}: no Git repository with a commit can be read there: {said}")
        return done.stdout.decode().strip()

    def entries(self, commit: str) -> list[Entry]:
        """All files of a commit, in Git's order. Raises LuthierError."""
        done = self._run("ls-tree", "-r", "-z", "--long", "--full-tree", commit)
        if done.returncode:
            said = " ".join(done.stderr.decode(errors="replace").split())[:200]
            raise LuthierError(f"{self.path}: commit {commit[:12]} cannot be read: {said}")
        out = []
        for row in done.stdout.split(b"\0")[:-1]:
            head, _, path = row.partition(b"\t")
            mode, kind, blob, size = head.decode().split()
            if kind == "blob" and not size.isdecimal():  # "BAD"
                raise self.lost(blob)
            out.append(Entry(mode, blob, int(size) if size.isdecimal() else 0, path.decode("utf-8", "replace")))
        return out

    def lost(self, blob: str) -> LuthierError:
        """What to say where an object cannot be read."""
        said = "is missing or damaged: fetch the whole repository, and see git fsck"
        return LuthierError(f"{self.path}: object {blob[:12]} {said}")

    @contextmanager
    def blobs(self) -> Iterator[Blobs]:
        """Something that gives blobs by their names."""
        with subprocess.Popen(
            self._command("cat-file", "--batch"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=self._env(),
        ) as process:  # fmt: skip
            yield Blobs(self, process)

    def _command(self, *arguments: str) -> list[str]:
        return ["git", *SAFE, "-C", str(self.path), *arguments]

    def _env(self) -> dict[str, str]:
        """Without variables of a Git that we may have been started by; a folder's parents are not looked into."""
        own = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        return own | SETTINGS | {"GIT_CEILING_DIRECTORIES": str(self.path.resolve().parent)}

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(self._command(*arguments), capture_output=True, env=self._env(), check=False)
        except FileNotFoundError:
            raise LuthierError("git is not installed here: install it to collect code") from None


@dataclass(frozen=True)
class Blobs:
    """An open `git cat-file --batch`."""

    of: Repository
    process: subprocess.Popen[bytes]

    def get(self, blob: str) -> bytes:
        """The bytes. Raises LuthierError where the repository lacks them (a partial clone) or is damaged."""
        into, out = self.process.stdin, self.process.stdout
        assert into is not None and out is not None
        try:
            into.write(blob.encode() + b"\n")
            into.flush()
        except BrokenPipeError:
            raise self.of.lost(blob) from None
        head = out.readline().split()
        if len(head) != 3 or head[1] != b"blob":
            raise self.of.lost(blob)
        data = out.read(int(head[2]))
        if len(data) != int(head[2]) or out.read(1) != b"\n":
            raise self.of.lost(blob)
        return data
