"""An index follows its files: added, changed, gone, broken; nothing is embedded twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hashed import Hashed

from luthier.errors import LuthierError
from luthier.index.build import add, build, opened, remove
from luthier.index.chunks import Chunking
from luthier.index.search import Searcher
from luthier.index.store import Store

SMALL = Chunking(20, 5)


def write(**files: str) -> Path:
    folder = Path("docs")
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def content(at: str = "at") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = Store.open(at).table.to_arrow().to_pylist()
    return sorted(rows, key=lambda row: (row["file"], row["at"]))


def test_only_what_changed_is_embedded_again(model: Hashed, tmp_path: Path) -> None:
    """Seen failing with a digest of the file's name, and with chunks added beside the old ones."""
    docs = write(a_md="# 年假\n满五年十五天。" * 5, b_txt="Bows are rehaired here. " * 9, sub__c_txt="Third file.")
    first = build([docs], "at", SMALL)
    assert first.added == ["docs/a.md", "docs/b.txt", "docs/sub/c.txt"] and first.chunks == len(content()) > 5
    before, asked = content(), len(model.asked)
    again = build([docs], "at", SMALL)
    assert len(again.same) == 3 and not again.added and content() == before and len(model.asked) == asked
    write(b_txt="Shorter.")
    (docs / "a.md").unlink()
    report = build([docs], "at", SMALL)
    assert (report.changed, report.removed, len(report.same)) == (["docs/b.txt"], ["docs/a.md"], 1)
    assert [row["text"] for row in content()] == ["Shorter.", "Third file."]
    assert model.asked[asked:] == ["Shorter."]


def test_the_order_of_builds_does_not_matter(model: Hashed) -> None:
    docs = write(a_md="# 年假\n满五年十五天。" * 5, b_txt="Bows. " * 30)
    build([docs], "one", SMALL)
    build([docs / "b.txt"], "two", SMALL)
    add([docs / "a.md"], "two")
    assert content("one") == content("two")
    ids = [row["id"] for row in content("two")]
    assert len(ids) == len(set(ids))


def test_remove_by_file_and_folder(model: Hashed) -> None:
    docs = write(a_md="One.", sub__b_txt="Two.", sub__c_txt="Three.", sub2_txt="Four.", **{"it's_txt": "Five."})
    build([docs], "at", SMALL)
    assert remove(["docs/sub"], "at").removed == ["docs/sub/b.txt", "docs/sub/c.txt"]
    assert remove(["docs/it's.txt", "docs/a.md"], "at").chunks == 1
    with pytest.raises(LuthierError, match="no such file"):
        remove(["docs/nothing"], "at")
    assert [row["text"] for row in content()] == ["Four."]


def test_broken_files_are_named_and_the_rest_goes_on(model: Hashed) -> None:
    docs = write(
        good_md="Good 好。", empty_txt="", blank_txt=" \n", line_txt="x" * 2_000_000, x_bin="?", _hidden_txt="no"
    )
    (docs / "broken.pdf").write_bytes(b"%PDF-1.4 no")
    (docs / "gbk.txt").write_bytes("本公司的年假为十五天，请提前申请。".encode("gb18030"))
    (docs / "noise.txt").write_bytes(bytes(range(256)) * 4)
    report = build([docs], "at", SMALL, limit_mb=1)
    assert report.added == ["docs/gbk.txt", "docs/good.md"]
    assert set(report.problems) == {
        f"docs/{n}" for n in ("broken.pdf", "empty.txt", "blank.txt", "line.txt", "noise.txt")
    }
    assert "gb18030" in report.notes["docs/gbk.txt"] and report.unread == {".bin": 1}
    write(good_md="")
    report = build([docs], "at", SMALL, limit_mb=1)
    assert report.removed == ["docs/good.md"] and [row["file"] for row in content()] == ["docs/gbk.txt"]


def test_other_settings_make_it_anew(model: Hashed) -> None:
    docs = write(a_txt="One two three four. " * 20)
    build([docs], "at", SMALL)
    few = build([docs], "at", Chunking(60, 0))
    assert few.added == ["docs/a.txt"] and opened("at")[0].settings.chunking == Chunking(60, 0)
    build([docs], "other", Chunking(60, 0))
    assert content("at") == content("other")


def test_errors_say_what_to_do(model: Hashed, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LuthierError, match="luthier index build"):
        opened("nothing")
    with pytest.raises(LuthierError, match="no such file or folder"):
        build([Path("nothing")], "at", SMALL)
    docs = write(x_bin="?")
    with pytest.raises(LuthierError, match="nothing to read"):
        build([docs], "at", SMALL)
    with pytest.raises(LuthierError, match="no reader for"):
        build([docs / "x.bin"], "at", SMALL)
    Path("file").write_text("")
    with pytest.raises(LuthierError, match="not a folder"):
        build([write(a_txt="One.")], "file", SMALL)
    build([docs], "at", SMALL)
    with pytest.raises(LuthierError, match=r"--where colour = 'red'.*Columns: file"):
        Searcher(*opened("at")).search("one", where="colour = 'red'")
    embedder = opened("at")[1]
    monkeypatch.setattr(embedder, "key", "newer")
    with pytest.raises(LuthierError, match="build it anew"):
        opened("at")
