"""The labelling page in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

OpenLabels = Callable[..., Any]


@pytest.fixture
def labelling_page(browser: Any) -> Iterator[OpenLabels]:
    """Opens the page at an address in a browser of its own; what it complains about fails the test.

    locale, width, height, name (under which it enters): of that browser. Servers that are killed may be complained of.
    """
    pytest.importorskip("fastapi")
    heard: list[str] = []
    with ExitStack() as closing:

        def refuse(dialog: Any) -> None:
            heard.append("dialog")
            dialog.dismiss()

        def opened(address: str, name: str = "", locale: str = "en-US", width: int = 1280, height: int = 900) -> Any:
            context = browser.new_context(locale=locale, viewport={"width": width, "height": height})
            closing.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(90_000)
            page.on("pageerror", lambda error: heard.append(f"error: {error}"))
            page.on("dialog", refuse)
            page.on("console", lambda said: heard.append(said.text) if "ERR_" not in said.text else None)
            page.goto(address)
            if name:
                page.fill("#name", name)
                page.keyboard.press("Enter")
                page.wait_for_selector("#who:not([hidden])")
            return page

        yield opened
        assert [line for line in heard if "the server responded with a status" not in line] == []
