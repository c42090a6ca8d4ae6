"""Web addresses in one spelling, so that a page is known by its address; and which addresses belong to a site.

    "HTTP://Example.com:80/a/../b?q=1#part" --normal--> "http://example.com/b?q=1"

Queries stay as they are but for characters that no address may hold: their order may mean something.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

PORTS = {"http": 80, "https": 443}
LONGEST = 2000  # characters: longer ones are made by pages that link to themselves
UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")  # names and IPv6 networks
IN_PATH, IN_QUERY = "%/:@!$&'()*+,;=~", "%/:@!$&'()*+,;=~?[]|"


class BadAddressError(ValueError):
    """No address of a web page; its text says why, without what a person would keep secret."""


def normal(address: str, base: str = "", encoding: str = "utf-8") -> str:
    """The one spelling. base: what a link stands in; encoding: of that page, which queries are in.

    Raises BadAddressError, also for an address with a user's name or password in it.
    """
    text = re.sub(r"[\t\r\n]", "", address.strip("\x00\t\n\f\r "))
    try:
        parts = urlsplit(urljoin(base, text) if base else text)
        port = parts.port
    except ValueError:
        raise BadAddressError("it is malformed") from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise BadAddressError("only http:// and https:// are fetched")
    if parts.username is not None or parts.password is not None:
        raise BadAddressError("it holds a user's name or password, which would be kept with the pages")
    host = _host(parts)
    where = f"[{host}]" if ":" in host else host
    if port not in (None, PORTS[scheme]):
        where += f":{port}"
    query = quote(_bytes(parts.query, encoding), safe=IN_QUERY)
    whole = urlunsplit((scheme, where, _path(parts.path), query, ""))
    if len(whole) > LONGEST:
        raise BadAddressError(f"it has more than {LONGEST} characters")
    return whole


def _host(parts: SplitResult) -> str:
    """In lower case, without a last dot, in ASCII."""
    host = (parts.hostname or "").rstrip(".")
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise BadAddressError("its host is malformed") from None
    if not HOST.fullmatch(host):
        raise BadAddressError("it names no host" if not host else "its host is malformed")
    return host


def _bytes(text: str, encoding: str) -> bytes:
    """As a form of a page in that encoding sends it."""
    try:
        return text.encode(encoding)
    except (LookupError, UnicodeError):
        return text.encode("utf-8", "replace")


def _path(path: str) -> str:
    """Without dot segments, escapes in upper case and only where they are needed."""

    def escape(found: re.Match[str]) -> str:
        plain = chr(int(found[1], 16))
        return plain if UNRESERVED.fullmatch(plain) else found[0].upper()

    path = re.sub("%([0-9A-Fa-f]{2})", escape, quote(path.encode("utf-8", "replace"), safe=IN_PATH))
    out: list[str] = []
    steps = path.split("/")[1:]
    for step in steps:
        if step == "..":
            del out[-1:]
        elif step != ".":
            out.append(step)
    if steps and steps[-1] in (".", ".."):
        out.append("")
    return "/" + "/".join(out)


def host_of(address: str) -> str:
    """The name of the host: one is asked one thing at a time, whatever its ports."""
    return urlsplit(address).hostname or ""


def origin_of(address: str) -> str:
    """Scheme, host and port: what one robots.txt speaks for."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True)
class Site:
    """The pages of a host below a path."""

    place: str
    below: str

    @staticmethod
    def of(start: str, whole_host: bool) -> Site:
        """Of a normal address: /docs and /docs/ begin at docs, /docs/index.html does, too."""
        parts = urlsplit(start)
        folder, _, last = parts.path.rpartition("/")
        below = f"{folder}/" if not last or "." in last else f"{parts.path}/"
        return Site(parts.netloc, "/" if whole_host else below)

    def has(self, address: str) -> bool:
        """Whether an address is of the site. Scheme does not matter: sites move to https."""
        if self.place not in address:  # sooner told than by its parts: there may be many sites
            return False
        parts = urlsplit(address)
        return parts.netloc == self.place and (parts.path.startswith(self.below) or f"{parts.path}/" == self.below)
