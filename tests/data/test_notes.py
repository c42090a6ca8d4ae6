"""What had to be decided to read a file reaches the user: inspect, compare and train, in both languages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from luthier.cli import main
from luthier.core.phrases import Phrase
from luthier.data.load import load_split
from luthier.data.read import read
from luthier.io.config import DataConfig, read_recipe
from luthier.reports.inspection.findings import findings
from luthier.reports.inspection.inspection import Reader, inspect
from luthier.reports.inspection.page import write_page

TEXT = "快递三天了还没有到，什么时候能送？"
GBK = "text,label\n" + "".join(f"{TEXT} {i},{'好坏'[i % 2]}\n" for i in range(12))
FILES: dict[str, bytes] = {
    "a.csv": GBK.encode("gb18030"), "b.csv": GBK.encode("utf-16"), "c.csv": GBK.encode("utf-16-le"),
    "d.csv": GBK.replace(",", "\t").encode(), "e.csv": GBK.replace(",", "|").encode(),
    "n.csv": "文本，标签\na，x\n".encode(), "f.tsv": b'text\tlabel\n"a ""b"""\tx\n', "g.txt": b"text\tlabel\na\tx\n",
    "h.csv": b"Title,,\ntext,label,\n,,\na,x,\n", "i.jsonl": b'{"text": "a"}{"text": "b"}',
    "j.jsonl": b'[\n{"text": "a"}]',
    "k.jsonl": b'// c\n{"text": "a",}\n', "l.jsonl": b"{'text': 'a'}\n", "m.csv": "文本,标签\na,X\nb,x\n".encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_note_is_known_in_both_languages(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    notes = read(tmp_path / name).notes
    assert notes
    for note in notes:
        assert isinstance(note, Phrase) and note.key == "said_in_file", note
        inside = note.values["note"]
        assert isinstance(inside, Phrase) and inside.key.startswith("said_file_"), note
        assert note.text() == note and inside.text("zh") != inside and name in note.text("zh")


def test_notes_of_a_named_encoding_are_known(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(GBK.encode())
    (tmp_path / "b.csv").write_bytes(GBK.encode("utf-16"))
    for name in ("a.csv", "b.csv"):
        (note,) = read(tmp_path / name, encoding="big5").notes
        assert isinstance(note, Phrase) and "not as big5" in note and "big5 读取" in note.text("zh")


def test_inspect_and_training_tell(tmp_path: Path, tiny_folder: Any) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(FILES[name])
    config = DataConfig(str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), skip_bad=True)
    _, notes = load_split(DataConfig(config.path))
    said = "a.csv: read as GB18030, since it is not UTF-8 (--encoding names another)"
    assert notes[0] == said
    found = inspect(config, Reader(str(tiny_folder("llama_tied"))))
    told = [{f.text.text(): f.text.text("zh") for f in findings(each)} for each in found]
    assert told[0][said] == "a.csv：不是 UTF-8，按 GB18030 读取（可用 --encoding 指定其他编码）"
    assert "b.csv: read as UTF-16, its first bytes say so" in told[1]
    write_page(found, tmp_path / "page.html")
    assert "不是 UTF-8，按 GB18030 读取" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_option_and_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, tiny_folder: Any) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\n" + "".join(f"a\u00f1o {i},x{i % 2}\n" for i in range(12)).encode("mac_roman"))
    command = ["luthier", "data", "inspect", str(path), "--model", str(tiny_folder("llama_tied"))]
    monkeypatch.setattr(sys, "argv", [*command, "--encoding", "mac-roman"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code and "12 kept, 0 dropped" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*command, "--encoding", "macromam"])
    with pytest.raises(SystemExit):
        main()
    assert "--encoding macromam: there is no such encoding; did you mean macroman?" in capsys.readouterr().err
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"data: {{path: {path}, encoding: mac-roman}}\n")
    split, notes = load_split(read_recipe(recipe).data)
    assert {text.text[:3] for text in split.train if hasattr(text, "text")} == {"año"} and not notes
