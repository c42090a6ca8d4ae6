"""One HTTP request: streamed, with an end to its time and its size, and only to networks that may be asked.

    address --looked up, checked--> socket --status, headers--> body where it is wanted --> Answer

The socket is connected to the very network that was checked, so that a name cannot mean another one a moment later.
Nothing of the environment is used: no proxies, no cookies, no saved passwords. What goes wrong is Unfetched, by a word
that it is counted under.
"""

from __future__ import annotations

import io
import ipaddress
import re
import socket
import ssl
import time
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException, HTTPResponse
from typing import Any, cast
from urllib.parse import urlsplit

from luthier.corpus.collecting.addresses import PORTS

CONNECT = 10.0  # seconds for one network of a host
CHUNK = 1 << 16
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # IPv4 networks by way of IPv6


class Unfetched(Exception):  # noqa: N818
    """No answer, or none that is wanted. reason: a word it is counted under; skipped: nothing went wrong."""

    def __init__(self, reason: str, skipped: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.skipped = reason, skipped


@dataclass(frozen=True)
class Limits:
    """timeout: seconds from the connection to the last byte. largest: bytes. private: one's own networks, too."""

    timeout: float = 30.0
    largest: int = 16 << 20
    private: bool = False


@dataclass(frozen=True)
class Answer:
    """body: unpacked, empty where it was not wanted. network: the IP address that answered."""

    status: int
    phrase: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    network: str

    def header(self, name: str) -> str:
        """All values under a name, by comma; "" for none."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    @property
    def type(self) -> str:
        """Of the content, without its parameters."""
        return self.header("content-type").split(";")[0].split(",")[0].strip().lower()


def fetch(
    address: str, headers: Mapping[str, str], limits: Limits, types: Collection[str] = (), cut: bool = False
) -> Answer:
    """Ask for a page. types: whose body is read, empty for all; only that of a 200. cut: a body that is too large is
    cut and not refused. Raises Unfetched."""
    end = time.monotonic() + limits.timeout
    try:
        with _connected(address, end, limits) as wire:
            wire.send(_request(address, headers))
            response = HTTPResponse(cast(socket.socket, wire), method="GET")
            response.begin()
            found = tuple((key, re.sub(r"\s*[\r\n]+\s*", " ", value)) for key, value in response.headers.items())
            answer = Answer(response.status, response.reason, found, b"", wire.network)
            if answer.status != 200 or (types and answer.type not in types):
                return answer
            return Answer(answer.status, answer.phrase, found, _body(response, limits.largest, cut), wire.network)
    except TimeoutError:
        raise Unfetched("timed_out") from None
    except ssl.SSLError:
        raise Unfetched("no_trusted_connection") from None
    except (socket.gaierror, UnicodeError):
        raise Unfetched("unknown_host") from None
    except ConnectionRefusedError:
        raise Unfetched("connection_refused") from None
    except (HTTPException, zlib.error):
        raise Unfetched("broken_answer") from None
    except OSError:
        raise Unfetched("connection_lost") from None


def _request(address: str, headers: Mapping[str, str]) -> bytes:
    parts = urlsplit(address)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    sent = {"Host": parts.netloc, **headers, "Accept-Encoding": "gzip", "Connection": "close"}
    # a value may come from a server's own header; one with control characters could add headers
    lines = [f"{key}: {value}" for key, value in sent.items() if value.isascii() and value.isprintable()]
    return "\r\n".join([f"GET {target} HTTP/1.1", *lines, "", ""]).encode("ascii")


def _body(response: HTTPResponse, largest: int, cut: bool) -> bytes:
    """Unpacked, which is what is measured: a small packed answer can be a very large one."""
    packed = (response.getheader("content-encoding") or "identity").strip().lower()
    if packed not in ("gzip", "x-gzip", "identity", ""):
        raise Unfetched("packed_in_another_way")
    unpack = zlib.decompressobj(31) if "gzip" in packed else None
    if not cut and unpack is None and (response.length or 0) > largest:
        raise Unfetched("too_large", skipped=True)
    out = bytearray()
    while len(out) <= largest and (data := response.read(CHUNK)):
        out += unpack.decompress(data, largest + 1 - len(out)) if unpack else data
    if len(out) > largest:
        if not cut:
            raise Unfetched("too_large", skipped=True)
    elif response.length or (unpack and out and not unpack.eof):
        raise Unfetched("broken_off")
    return bytes(out[:largest])


class _Wire(io.RawIOBase):
    """A socket as http.client reads it; every wait of it ends at the same moment."""

    def __init__(self, inner: socket.socket, network: str, end: float) -> None:
        self.inner, self.network, self.end = inner, network, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.inner.settimeout(_left(self.end))
        return self.inner.recv_into(buffer)

    def send(self, data: bytes) -> None:
        self.inner.settimeout(_left(self.end))
        self.inner.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def close(self) -> None:
        self.inner.close()
        super().close()


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _connected(address: str, end: float, limits: Limits) -> _Wire:
    """To the first network of the host that answers."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    networks = [(family, where) for family, _, _, _, where in found if limits.private or public(str(where[0]))]
    if not networks:
        raise Unfetched("private_network")
    failed: OSError = OSError()
    for family, where in networks:
        inner = socket.socket(family, socket.SOCK_STREAM)
        try:
            inner.settimeout(min(_left(end), CONNECT))
            inner.connect(where)
            if parts.scheme == "https":
                inner.settimeout(_left(end))
                inner = _trust().wrap_socket(inner, server_hostname=host)
            return _Wire(inner, str(where[0]), end)
        except OSError as error:
            inner.close()
            failed = error
    raise failed


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def public(network: str) -> bool:
    """Whether an IP address is one of the internet, also where it stands for another."""
    found = ipaddress.ip_address(network.split("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return public(str(inner))
        if found.is_site_local:
            return False
    return found.is_global and not found.is_multicast
