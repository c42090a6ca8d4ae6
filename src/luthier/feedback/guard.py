"""Who may speak to the page's server: whoever has the token, by the server's own name, from the server's own page.

The token keeps out other users of the machine; the check of `Host` keeps out sites that point a name of their own at
this machine; the checks of `Origin` and `Sec-Fetch-Site`, the cookie's SameSite=Strict and JSON bodies keep out other
sites' pages in the annotator's browser.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from luthier.core.phrases import Phrase, escape, say

LARGEST = 2 * 2**20  # bytes of a request
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
EVERYWHERE = frozenset({"0.0.0.0", "::", ""})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
}  # fmt: skip

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Guard:
    """An application behind these checks. cookie: the name of its cookie. host, port: where it listens."""

    app: App
    token: str
    cookie: str
    host: str
    port: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        assert scope["type"] == "http"
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(send, *refusal, page=scope["method"] == "GET" and scope["path"] == "/")
            return
        given = self._by_address(scope)

        async def answered(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                more = dict(HEADERS)
                if given:
                    kept = "; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000"
                    more["Set-Cookie"] = f"{self.cookie}={self.token}{kept}"
                message["headers"] = [*message["headers"], *_encoded(more)]
            await send(message)

        await self.app(scope, receive, answered)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, Phrase] | None:
        """The status and what to say where a request is none of ours."""
        host = headers.get("host", "")
        if not self._ours(host):
            return 403, say("label_host")
        if not self._token(scope, headers):
            return 403, say("label_no_token")
        origin, fetched = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if origin is not None and origin != f"http://{host}":
            return 403, say("label_origin")
        if scope["method"] in ("GET", "HEAD"):
            return None
        if fetched not in ("same-origin", "none"):
            return 403, say("label_origin")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return 415, say("label_json")
        length = headers.get("content-length", "")
        if not length.isdigit() or int(length) > LARGEST:
            return 413, say("label_too_large")
        return None

    def _ours(self, host: str) -> bool:
        """Whether a Host header names this server: by loopback, by what it was told to listen at, or by number.

        A page of somebody else's can point a name of its own at this machine, but not a number.
        """
        name, colon, port = host.rpartition(":")
        if not colon or port != str(self.port):
            name, port = (host, "80") if ":" not in host.rpartition("]")[2] else ("", "")
            if port != str(self.port):
                return False
        name = name.lower()
        if name in LOOPBACK or name.strip("[]") == self.host:
            return True
        if self.host not in EVERYWHERE:
            return False
        return _is_number(name.strip("[]")) or name == socket.gethostname().lower()

    def _token(self, scope: Scope, headers: dict[str, str]) -> bool:
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        given = [bearer.strip()] if kind.lower() == "bearer" else []
        cookies = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
        given += [value for name, _, value in cookies if name == self.cookie]
        return self._by_address(scope) or any(self._is_token(each) for each in given)

    def _by_address(self, scope: Scope) -> bool:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        return any(self._is_token(each) for each in query.get("token", []))

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _encoded(headers: dict[str, str]) -> Iterable[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


async def _refuse(send: Send, status: int, why: Phrase, page: bool) -> None:
    """One sentence: in both languages to a reader, as data to a program."""
    if page:
        lines = f'<p>{why.html()}</p><p lang="zh-Hans">{escape(why.text("zh"))}</p>'
        body = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Luthier</title>{lines}</html>'
    else:
        body = json.dumps({"error": why.packed()}, ensure_ascii=False)
    kind = "text/html; charset=utf-8" if page else "application/json"
    data = body.encode()
    headers = {**HEADERS, "Content-Type": kind, "Content-Length": str(len(data))}
    await send({"type": "http.response.start", "status": status, "headers": list(_encoded(headers))})
    await send({"type": "http.response.body", "body": data})
