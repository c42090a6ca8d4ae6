"""What mkdocs does besides the pages of docs/: files of the repository become pages, and the footer says the version.

The readme in Chinese, the changelog, the page for contributors, the table of examples and, for each example, its code.
Their links are those of the repository: here they lead to the page that was made of the file, and a link to anything
that has no page (a folder of results, the licence) becomes its text.
"""

from __future__ import annotations

import ast
import json
import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
TAKEN = ("README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")
PLACES: dict[str, str] = {}  # a file of the repository: its page
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """The version, read where it is stated; what cuts Chinese into words need not say that it loads."""
    logging.getLogger("jieba").setLevel(logging.WARNING)
    (version,) = re.findall(r'__version__ = "(.+)"', (ROOT / "src/luthier/version.py").read_text("utf-8"))
    config["copyright"] = f"Luthier {version} · MIT"
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made of files outside docs/."""
    texts = {name: (ROOT / name).read_text("utf-8") for name in TAKEN}
    for path in sorted((ROOT / "examples").iterdir()):
        if path.suffix in (".py", ".ipynb"):
            texts[f"examples/{path.stem}.md"] = (script if path.suffix == ".py" else notebook)(path)
            PLACES[f"examples/{path.name}"] = f"examples/{path.stem}.md"
    PLACES.update({f"docs/{file.src_uri}": file.src_uri for file in files} | {name: name for name in TAKEN})
    PLACES["README.md"] = "README.md"  # the readme in English has its counterpart in the landing page
    for name, text in texts.items():
        files.append(File.generated(config, name, content=relinked(text, name, name)))
    return files


def on_page_markdown(markdown: str, page: Any, **more: Any) -> str:
    """Links of a page in docs/ that lead out of it; the others are mkdocs' own, which says where one leads nowhere."""
    own = page.file.src_uri
    return markdown if own in TAKEN or own.startswith("examples/") else relinked(markdown, f"docs/{own}", own, "../")


def relinked(text: str, source: str, own: str, begins: str = "") -> str:
    """The text with its links, those of the file `source`, leading to pages from the page `own`.

    begins: only links that begin so.
    """

    def link(found: re.Match[str]) -> str:
        mark, words, target, anchor = found[1], found[2], found[3], found[4] or ""
        if re.match(r"[a-z]+:", target) or not target.startswith(begins):
            return found[0]
        place = PLACES.get(posixpath.normpath(posixpath.join(posixpath.dirname(source), target)))
        if place is None:
            return words
        return f"{mark}[{words}]({posixpath.relpath(place, posixpath.dirname(own) or '.')}{anchor})"

    return LINK.sub(link, text)


def script(path: Path) -> str:
    """An example as a page: what it says of itself, then its code."""
    code = path.read_text("utf-8")
    first, _, rest = (ast.get_docstring(ast.parse(code)) or path.stem).partition("\n")
    return f'# {first.rstrip(".。")}\n\n{rest.strip()}\n\n```python title="examples/{path.name}"\n{code}```\n'


def notebook(path: Path) -> str:
    """A notebook as a page, its cells in their order."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    parts = [("".join(cell["source"]), cell["cell_type"] == "code") for cell in cells]
    return "\n\n".join(f"```python\n{text}\n```" if code else text for text, code in parts) + "\n"
