"""Contextual calibration against the formula worked by hand, and that it is kept only where it helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from kinds import texts_of
from luthier.core.phrases import Phrase
from luthier.direct.few_shot import FewShot
from luthier.evals.calibration import CONTENT_FREE, calibrated, content_free
from luthier.evals.task import evaluate
from luthier.evals.with_examples import ShotsLM, load_shots
from luthier.training.context import Context


def test_against_numpy(lm: Any) -> None:
    """q = diag(p_cf)^-1 p, normalised, with p_cf the mean of three distributions. Seen failing with a mean of logs."""
    labels = tiny.LABELLED.labels
    worded = lm.worded(lm.wordings(labels)[0], labels, tiny.LABELLED.train[:4])
    texts = texts_of(tiny.LABELLED.validation)
    p = np.exp(worded.predict(texts, labels).double().numpy())
    free = np.exp(worded.predict(list(CONTENT_FREE), labels).double().numpy()).mean(0)
    want = p @ np.linalg.inv(np.diag(free))
    want /= want.sum(1, keepdims=True)
    favoured = content_free(worded, labels)
    assert favoured is not None and CONTENT_FREE == ("N/A", "", "[MASK]")
    got = ShotsLM(worded, favoured).predict(texts, labels).exp().numpy()
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_allclose(got.sum(1), 1, rtol=1e-6)
    turned = ShotsLM(worded, favoured).predict(texts, labels[::-1]).exp().numpy()
    np.testing.assert_allclose(turned[:, ::-1], want, rtol=1e-5)


def test_a_prompt_that_says_one_label_to_everything_is_undone() -> None:
    favoured = torch.tensor([0.9, 0.1]).log()
    rows = torch.tensor([[0.9, 0.1], [0.95, 0.05], [0.85, 0.15]]).log()
    q = calibrated(rows, favoured.double()).exp()
    torch.testing.assert_close(q[0], torch.tensor([0.5, 0.5]))
    assert q.argmax(-1).tolist()[1:] == [0, 1]


def test_kept_only_where_validation_rows_say_so(lm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with calibration kept whatever the validation score."""
    data = replace(tiny.LABELLED, test=())
    method = FewShot(k=3, orders=1)
    for seed in range(4):
        run = Context(lm, data, seed, cache=tmp_path)
        found = method.adapt(run)
        plain = replace(method, calibrate=False).adapt(Context(lm, data, seed, cache=tmp_path))
        (said,) = [n for n in run.notes if "contextual calibration" in n]
        changed = ShotsLM(plain, content_free(plain, data.labels))  # type: ignore[arg-type]
        before, after = (evaluate(m, data, data.validation).score for m in (plain, changed))
        assert isinstance(found, ShotsLM) == (after > before) == said.endswith("kept")
        assert isinstance(said, Phrase) and said.text("zh").endswith("：采用" if after > before else "：未采用")
        assert f"{before:.3f} without, {after:.3f} with it" in said
    helps = torch.tensor([0.0, -9.0, 0.0], dtype=torch.float64)
    monkeypatch.setattr("luthier.evals.calibration.content_free", lambda m, labels: helps)
    scores = iter([0.1, 0.9])
    monkeypatch.setattr("luthier.direct.few_shot.evaluate", lambda *a: type("S", (), {"score": next(scores)}))
    found = method.adapt(Context(lm.asked(only=lm.wordings(data.labels)[0]), data, 0, cache=tmp_path))
    assert isinstance(found, ShotsLM)
    found.save(tmp_path)
    again = load_shots(tmp_path, lm, tmp_path)
    texts = texts_of(data.validation)
    assert torch.equal(found.predict(texts, data.labels), again.predict(texts, data.labels))


def test_a_model_without_probabilities_is_left_alone() -> None:
    class Names:
        def predict(self, texts: list[str], labels: tuple[str, ...]) -> torch.Tensor:
            return torch.tensor([[0.0, -torch.inf]] * len(texts))

    assert content_free(Names(), ("a", "b")) is None  # type: ignore[arg-type]
