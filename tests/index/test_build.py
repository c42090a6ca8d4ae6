"""An index follows its files: added, changed, gone, broken; nothing is embedded twice."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hashed import Hashed
from luthier.core.errors import LuthierError
from luthier.index.build import add, build, opened, remove
from luthier.index.chunks import Chunking
from luthier.index.search import Searcher
from luthier.index.store import Store
from luthier.models.embedding import Embedder

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
    assert "GB18030" in report.notes["docs/gbk.txt"] and report.unread == {".bin": 1}
    write(good_md="")
    report = build([docs], "at", SMALL, limit_mb=1)
    assert report.removed == ["docs/good.md"] and [row["file"] for row in content()] == ["docs/gbk.txt"]


def test_a_file_has_one_name(model: Hashed) -> None:
    """Seen failing with ".." kept in names: every file was in the index twice."""
    docs = write(a_md="One.", sub__b_txt="Two.")
    build([docs, docs / "sub" / "..", docs.absolute()], "at", SMALL)
    assert [row["file"] for row in content()] == ["docs/a.md", "docs/sub/b.txt"]
    assert remove(["docs/sub/../a.md", "docs/a.md"], "at").removed == ["docs/a.md"]
    assert remove(["."], "at").chunks == 0


def test_names_and_links_that_cannot_be_read(model: Hashed) -> None:
    """Seen failing with names as they came (the build ended) and links passed over in silence."""
    docs = write(a_md="One.", **{"中文 名_txt": "Two."})
    Path(os.fsdecode(b"docs/\xff.txt")).write_text("Three.")
    (docs / "gone.txt").symlink_to("nothing")
    (docs / "loop").symlink_to(".")
    os.mkfifo(docs / "pipe.txt")
    report = build([docs], "at", SMALL)
    assert report.added == ["docs/a.md", "docs/中文 名.txt"] and set(report.notes) == {"docs/loop"}
    assert set(report.problems) == {"docs/gone.txt", "docs/pipe.txt", os.fsdecode(b"docs/\xff.txt")}
    assert "UTF-8" in report.problems[os.fsdecode(b"docs/\xff.txt")]


def test_a_file_that_vanishes_is_named(model: Hashed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between being found and being read. Seen failing with sizes taken without care."""
    docs = write(a_md="One.", b_md="Two.")
    monkeypatch.setattr("luthier.index.build.load_embedder", _then(docs / "a.md", opened_embedder(model)))
    report = build([docs], "at", SMALL)
    assert report.added == ["docs/b.md"] and set(report.problems) == {"docs/a.md"}


def opened_embedder(model: Hashed) -> Embedder:
    return Embedder("hashed", "hashed", lambda: model, Path("cache"))


def _then(file: Path, embedder: Embedder) -> Callable[..., Embedder]:
    def load(*_: object) -> Embedder:
        file.unlink()
        return embedder

    return load


def test_another_programs_table_is_left_alone(model: Hashed) -> None:
    """Seen failing with every table that cannot be opened taken for none."""
    import lancedb

    lancedb.connect("at").create_table("chunks", [{"x": 1}])
    with pytest.raises(LuthierError, match="not made by this version"):
        build([write(a_md="One.")], "at", SMALL)
    assert lancedb.connect("at").open_table("chunks").to_arrow().to_pylist() == [{"x": 1}]


def test_an_address_that_cannot_be_reached_is_not_written_over(model: Hashed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is missing is made; any other trouble with an address is an error."""
    at, docs = f"file://{Path('far').absolute()}", write(a_md="One.")
    assert build([docs], at, SMALL).chunks == 1 and build([docs], at, SMALL).same == ["docs/a.md"]

    class Down:
        def open_table(self, name: str) -> None:
            raise RuntimeError("timed out")

    with monkeypatch.context() as patch:
        patch.setattr("luthier.index.store._connect", lambda at: Down())
        with pytest.raises(LuthierError, match="timed out"):
            build([docs], at, SMALL)
    assert len(content(at)) == 1


def test_a_full_disk_is_one_message(model: Hashed) -> None:
    """And the same command goes on when there is room."""
    docs = write(a_md="One.")
    build([docs], "at", SMALL)
    write(b_md="Two sentences. " * 400)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limit[1]))
    try:
        with pytest.raises(LuthierError, match="cannot be written"):
            build([docs], "at", SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert [row["file"] for row in content()] == ["docs/a.md"]
    assert build([docs], "at", SMALL).added == ["docs/b.md"]


def test_nothing_is_left_where_there_is_no_index(model: Hashed) -> None:
    docs = write(a_md="One.")
    for act in (lambda: add([docs], "none"), lambda: remove(["docs"], "none")):
        with pytest.raises(LuthierError, match="luthier index build"):
            act()
    assert not Path("none").exists()


def test_progress_moves_while_one_file_is_embedded(model: Hashed) -> None:
    """Files are counted as their chunks are embedded."""
    said: list[tuple[int, int]] = []
    docs = write(a_md="".join(f"第{i}句话很长很长很长。" for i in range(200)))
    build([docs], "at", SMALL, say=lambda done, of: said.append((done, of)))
    size = (docs / "a.md").stat().st_size
    assert said == sorted(said) and said[-1] == (size, size) and len({done for done, _ in said}) > 3


def test_a_damaged_index_says_so(model: Hashed) -> None:
    """Seen failing with LanceDB's own error."""
    build([write(a_md="One.")], "at", SMALL)
    searcher = Searcher(*opened("at"))
    for file in Path("at/chunks.lance/data").iterdir():
        file.unlink()
    with pytest.raises(LuthierError, match="cannot be searched"):
        searcher.search("one")
    with pytest.raises(LuthierError, match="build it anew"):
        build([Path("docs")], "at", SMALL)


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
