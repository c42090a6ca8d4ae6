"""The site of the documentation: built without a complaint, opens from the disk, fetches nothing, is searched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("docs/*.md"))
FETCHED = {  # element: the attributes by which a browser fetches something
    "script": ("src",), "img": ("src", "srcset"), "iframe": ("src",), "source": ("src", "srcset"), "audio": ("src",),
    "video": ("src", "poster"), "embed": ("src",), "object": ("data",), "use": ("href",), "image": ("href",),
}  # fmt: skip
LINKS = {"stylesheet", "icon", "preload", "prefetch", "modulepreload", "preconnect", "dns-prefetch", "manifest"}
REMOTE = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
IN_STYLE = re.compile(
    r"url\(\s*['\"]?\s*((?:https?:)?//[^)'\"]+)|@import\s+['\"]((?:https?:)?//[^'\"]+)", re.IGNORECASE
)


class Fetches(HTMLParser):
    """Addresses outside the site that a browser would fetch to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        wanted = [given.get(name, "") for name in FETCHED.get(tag, ())]
        if tag == "link" and LINKS & set(given.get("rel", "").lower().split()):
            wanted.append(given.get("href", ""))
        self.found += [address for address in wanted if REMOTE.match(address)]
        self.found += [a or b for a, b in IN_STYLE.findall(given.get("style", ""))]


def fetches(page: str) -> list[str]:
    """Of a page's HTML, its style sheets inside included."""
    reader = Fetches()
    reader.feed(page)
    styles = re.findall(r"<style[^>]*>(.*?)</style>", page, re.DOTALL)
    return reader.found + [a or b for text in styles for a, b in IN_STYLE.findall(text)]


def build(out: Path, *, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    """Build as `make docs` does, into another folder."""
    command: list[str | Path] = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", out]
    environment = {
        **os.environ,
        "NO_MKDOCS_2_WARNING": "1",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The built site; skipped where the tools of the extra `docs` are not installed."""
    for name in ("mkdocs", "material", "mkdocstrings", "jieba"):
        pytest.importorskip(name)
    out = tmp_path_factory.mktemp("site")
    done = build(out)
    assert done.returncode == 0, done.stdout + done.stderr
    yield out


@pytest.mark.slow
def test_every_page_is_there(site: Path) -> None:
    """Seen failing with a page that `nav` names and nobody wrote, and with a link to a heading that is not there."""
    made = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    wanted = {"index.html", *(f"{path.stem}.html" for path in PAGES if path.stem != "README")}
    wanted |= {"README.zh-CN.html", "CONTRIBUTING.html", "CHANGELOG.html", "examples/index.html"}
    wanted |= {
        f"examples/{path.stem}.html" for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".ipynb")
    }
    assert wanted <= made
    assert not (site / "site").exists(), "what builds the site is no page"


@pytest.mark.slow
def test_every_link_leads_to_a_file(site: Path) -> None:
    """Those out of docs/ included, such as to an example. Seen failing with `<a href=nowhere.html>` in a page."""
    lost = []
    for page in site.rglob("*.html"):
        links = re.findall(r'<a [^>]*?href="?([^"#?>\s]+)', page.read_text("utf-8")) if page.name != "404.html" else []
        found = [link for link in links if not re.match(r"[a-z]+:", link)]
        lost += [f"{page.name}: {link}" for link in found if not (page.parent / unquote(link)).exists()]
    assert not lost
    assert 'href="examples/index.html"' in (site / "index.html").read_text("utf-8")
    assert 'href="train_and_ask.html"' in (site / "examples/index.html").read_text("utf-8")
    assert 'href="examples/index.html"' in (site / "README.zh-CN.html").read_text("utf-8")


def test_every_page_of_the_folder_is_in_the_navigation() -> None:
    """Seen failing with a page that `nav` lacks."""
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert not [path.name for path in PAGES if path.name not in text]


@pytest.mark.slow
def test_nothing_is_fetched(site: Path) -> None:
    """No script, style, font or picture of elsewhere. Seen failing with a font of the theme, and without our worker."""
    found = {path.name: fetches(path.read_text("utf-8")) for path in site.rglob("*.html")}
    assert not {name: addresses for name, addresses in found.items() if addresses}
    styles = {path.name: IN_STYLE.findall(path.read_text("utf-8")) for path in site.rglob("*.css")}
    assert not {name: addresses for name, addresses in styles.items() if addresses}


def test_what_is_fetched_is_noticed() -> None:
    for fetched in (
        '<script src="https://unpkg.com/x"></script>', '<link rel="stylesheet" href="//a.b/c.css">',
        '<link rel="preconnect" href="https://fonts.x">', '<img src=http://a.b/c.png>', '<p style="background:url(https://a/b)">',
        "<style>@font-face{src:url('https://a/b.woff2')}</style>", '<style>@import "https://a/b.css"</style>',
    ):  # fmt: skip
        assert fetches(fetched), fetched
    for kept in ('<a href="https://a.b">', '<link rel="canonical" href="https://a">', '<img src="a//b.png">'):
        assert not fetches(kept), kept


@pytest.mark.slow
def test_the_reference_is_what_python_gives(site: Path) -> None:
    """Each public name with its docstring, as read from the source. Seen failing with `load` without one."""
    import luthier

    text = (site / "reference.html").read_text("utf-8")
    for name in (*luthier.__all__, "open"):
        assert f'id="luthier.{name}"' in text, name
    for words in (
        "<strong>template</strong>",
        "<strong>data, test</strong>",
        "Try the methods on the data",
        '<span class="gp">',
    ):
        assert words in text, words
    assert "ready to predict or generate" in text and "doctest" not in text and "&gt;&gt;&gt; </p>" not in text


@pytest.mark.slow
def test_it_is_read_and_searched_from_the_disk(site: Path, browser: Any) -> None:
    """Without a network, in both languages. Seen failing without `assets/iframe-worker.js`."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_offline(True)
    page, asked, errors = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((site / "index.html").as_uri())
    for words, wanted in (("learning rate", "Studies"), ("坏行", "中文指南"), ("to_frame", "Reference")):
        page.click("[data-md-component=search-query]")
        page.fill("[data-md-component=search-query]", words)
        page.keyboard.press("End")  # Chinese comes from an input method, which ends with a key
        page.wait_for_function(
            "wanted => [...document.querySelectorAll('.md-search-result__item h1')]"
            ".some(e => e.textContent.replaceAll('\\u200b', '') == wanted)", arg=wanted, timeout=60_000,
        )  # fmt: skip
    assert page.locator(".md-header [hreflang=zh]").get_attribute("href") == "README.zh-CN.html"
    context.close()
    assert not errors
    assert not [address for address in asked if not address.startswith(("file:", "about:", "data:", "blob:"))]


def test_its_tools_are_locked() -> None:
    """By name and version alone, none twice, each requirement of the extra among them. Seen failing with an address."""
    name = lambda line: re.sub(r"[-_.]+", "-", re.split(r"[=\[>]", line)[0]).lower()  # noqa: E731
    locks = {
        file: (ROOT / file).read_text("utf-8").splitlines() for file in ("requirements.lock", "requirements-docs.lock")
    }
    for file, lines in locks.items():
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), file
        assert lines == sorted(lines, key=str.lower), file
    ours, theirs = ({name(line) for line in lines} for lines in locks.values())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert not ours & theirs and {name(line) for line in extras["docs"]} <= theirs
    assert {name(line) for line in extras["dev"] if not line.startswith("luthier")} <= ours
