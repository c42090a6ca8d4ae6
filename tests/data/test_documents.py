"""A folder of documents: what is read, in which order, and what is said when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from luthier.config import DataConfig
from luthier.data.documents import read_documents
from luthier.data.task import load_split
from luthier.errors import LuthierError
from luthier.protocols import Text


def test_text_and_markdown_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b" / "inner").mkdir(parents=True)
    (tmp_path / "b" / "inner" / "z.MD").write_text("# 手册\r\n第一页", encoding="utf-8")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfplain")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "folder.md").mkdir()
    assert read_documents(tmp_path) == (Text("plain", "a.txt"), Text("# 手册\n第一页", "b/inner/z.MD"))


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match="is not there"):
        read_documents(tmp_path / "none")
    with pytest.raises(LuthierError, match=r"no \.txt or \.md file"):
        read_documents(tmp_path)
    (tmp_path / "one.txt").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(LuthierError, match=r"one\.txt: not UTF-8 text \(byte 3\)"):
        read_documents(tmp_path)
    with pytest.raises(LuthierError, match="is a file, not a folder"):
        read_documents(tmp_path / "one.txt")
    (tmp_path / "one.txt").write_text(" \n")
    with pytest.raises(LuthierError, match=r"one\.txt: the file is empty"):
        read_documents(tmp_path)


def test_they_come_with_the_split_and_so_does_the_score(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("We open at nine.")
    rows = "".join(f'{{"instruction": "question {i}", "output": "answer {i}"}}\n' for i in range(20))
    (tmp_path / "rows.jsonl").write_text(rows)
    config = DataConfig(path=str(tmp_path / "rows.jsonl"), docs=str(tmp_path), metric="token_f1")
    split, _ = load_split(config)
    assert split.documents == (Text("We open at nine.", "page.md"),) and split.metric == "token_f1"
    with pytest.raises(LuthierError, match="label_f1 is for multilabel, and this data is for generation"):
        load_split(DataConfig(path=config.path, metric="label_f1"))
