"""A browser for the tests of pages, started once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 180_000  # milliseconds: a busy machine takes long to read five megabytes of script

Open = Callable[..., AbstractContextManager[tuple[Any, list[str]]]]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; tests that need it are skipped where it is not installed."""
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def open_page(browser: Any) -> Open:
    """A file in a browser without network: the page, and what it complained about or asked for."""

    @contextmanager
    def opened(file: Path, **settings: Any) -> Iterator[tuple[Any, list[str]]]:
        values = {"viewport": {"width": 1280, "height": 900}, "accept_downloads": True, "locale": "en-US"} | settings
        context = browser.new_context(**values)
        context.set_offline(True)
        page = context.new_page()
        heard: list[str] = []

        def refuse(dialog: Any) -> None:
            heard.append("dialog")
            dialog.dismiss()

        page.on("console", lambda message: heard.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("dialog", refuse)
        page.on("request", lambda request: heard.append(f"request: {request.url[:60]}"))
        page.goto(file.as_uri(), wait_until="commit", timeout=PATIENCE)
        page.wait_for_selector("html.drawn", timeout=PATIENCE)
        assert heard.pop(0).startswith("request: file://")
        yield page, heard
        context.close()

    return opened
