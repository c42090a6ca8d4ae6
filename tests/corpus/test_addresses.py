"""Addresses of pages as they are compared and followed."""

from __future__ import annotations

import pytest

pytest.importorskip("protego")


from luthier.corpus.collecting import addresses


def test_addresses() -> None:
    """One spelling; what is no page is refused."""
    for given, expected in {
        "HTTP://Example.COM:80/a/./b/../c?b=2&a=1#x": "http://example.com/a/c?b=2&a=1", "https://h:443": "https://h/",
        "http://h/%7ea%2fb c": "http://h/~a%2Fb%20c", "http://bücher.de./": "http://xn--bcher-kva.de/",
        "http://h/../../x": "http://h/x", "http://h/a/..": "http://h/", "http://[::1]:8080/": "http://[::1]:8080/",
    }.items():  # fmt: skip
        assert addresses.normal(given) == expected == addresses.normal(expected)
    assert addresses.normal("../b?问", "http://h/x/y/z", "gb18030") == "http://h/x/b?%CE%CA"
    for bad in ("ftp://h/", "javascript:x", "http://", "http://u:p@h/", "http://h:x/", "http://h h/", "http://[::1/"):
        with pytest.raises(addresses.BadAddressError):
            addresses.normal(bad)
    assert addresses.Site.of("http://h/docs/index.html", False).has("https://h/docs/x")
    assert not addresses.Site("h", "/docs/").has("http://h/docsx") and addresses.Site("h", "/docs/").has(
        "http://h/docs"
    )
