"""`bench/regret.py` from data to files: rows are divided, sets run once, a killed start goes on. No model."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import regret
import regret_sets
from regret_sample import board


def test_no_row_is_in_two_parts() -> None:
    rows = [{"text": f"text {at % 90}", "label": "x"} for at in range(120)]
    parts = regret_sets.divided(rows, [], (1000, 150, 600))
    assert {part: len(found) for part, found in parts.items()} == {"train": 45, "few": 15, "truth": 30}
    texts = [row["text"] for found in parts.values() for row in found]
    assert len(set(texts)) == len(texts) == 90
    assert parts == regret_sets.divided(rows, [], (1000, 150, 600)), "the same each time"
    other = [{"text": f"text {at}", "label": "x"} for at in range(80, 200)]
    found = regret_sets.divided(rows, other, (1000, 20, 60))
    assert [len(found[part]) for part in ("few", "truth")] == [20, 60]
    tested = {row["text"] for part in ("few", "truth") for row in found[part]}
    assert not tested & {row["text"] for row in found["train"]} and len(found["train"]) > 75


def test_what_is_published_names_no_place(tmp_path: Path) -> None:
    told = {
        "command": f"luthier predict {tmp_path}/small/x",
        "rows": [{"reason": f"{Path.home()}/a: gone", "score": 1}],
    }
    found = regret.without_paths(told, tmp_path)
    assert found == {"command": "luthier predict small/x", "rows": [{"reason": "~/a: gone", "score": 1}]}


class Commands:
    """In place of the command line: writes what a comparison and a scoring leave behind. stop: ends at this command."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self.stop = ""

    def __call__(self, words: Sequence[str], folder: Path) -> None:
        if self.stop and self.stop in words:
            raise regret.SetError("killed")
        self.given.append(" ".join(words))
        rows = [json.loads(line) for line in (folder / "truth.jsonl").read_text("utf-8").splitlines()]
        if words[0] == "eval":  # right where the label is positive, in the file's order
            place = folder / words[1] / "evaluations"
            self.write(place / "truth.json", {"per_row": [float(row["label"] == "positive") for row in rows]})
            return
        size, made = words[-1], board("lora", lora=0.5, zero_shot=0.25)
        self.write(folder / size / "leaderboard.json", made | {"command": f"see {folder}/{size}"})
        judged = [{"asked": row["text"], "wanted": row["label"]} for row in random.Random(1).sample(rows, len(rows))]
        (folder / size / "test_rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in judged), "utf-8")
        self.write(folder / size / "floor.json", {"per_row": [0.0] * len(rows)})
        for name in ("lora", "zero_shot"):
            scores = [float(row["wanted"] == "positive") for row in judged]
            self.write(folder / size / "trials" / name / "seed-0" / "eval.json", {"per_row": scores})

    @staticmethod
    def write(path: Path, value: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    made = Commands()
    monkeypatch.setattr(regret, "run", made)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return made


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., int]:
    """Start the bench on the embedded moods; gives its exit status."""

    def begin(*words: str) -> int:
        places = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
        with pytest.raises(SystemExit) as ended:
            regret.main(["--sets", "mood", "--test", "30", *places, *words])
        return int(ended.value.code or 0)

    return begin


def test_a_finished_set_is_not_run_again(tmp_path: Path, commands: Commands, start: Callable[..., int]) -> None:
    assert start() == 0
    assert [words.split()[0] for words in commands.given] == ["compare", "compare", "eval"]
    assert "--budget 4k-tokens" in commands.given[0] and "--budget 40k-tokens" in commands.given[1]
    assert not (tmp_path / "work" / "mood").exists(), "run folders are removed"
    kept = (tmp_path / "out" / "mood.json").read_text("utf-8")
    assert str(tmp_path) not in kept
    scores = json.loads(kept)["scores"]
    assert scores["small"]["lora"] == scores["large"]["lora"], "brought into the order of the large comparison"
    assert start() == 0 and len(commands.given) == 3
    assert "| mood\\* |" in (tmp_path / "out.md").read_text("utf-8")


def test_another_setting_is_refused_where_a_set_is_finished(
    commands: Commands, start: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    start()
    assert start("--budget", "5k-tokens") == 1
    assert "mood.json was made with budget 4k-tokens, not 5k-tokens: choose another --out" in capsys.readouterr().out
    assert len(commands.given) == 3


def test_a_start_after_a_kill_goes_on(tmp_path: Path, commands: Commands, start: Callable[..., int]) -> None:
    """What was scored is not scored again, and the data keep their time on disk: comparisons know it by that."""
    commands.stop = "large"
    with pytest.raises(SystemExit, match="no set is finished"):
        regret.main(
            ["--sets", "mood", "--test", "30", "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
        )
    before = (tmp_path / "work" / "mood" / "train.jsonl").stat().st_mtime_ns
    commands.stop = ""
    assert start("--keep") == 0
    assert (tmp_path / "work" / "mood" / "train.jsonl").stat().st_mtime_ns == before
    (tmp_path / "out" / "mood.json").unlink()
    assert start() == 0
    assert sum(words.startswith("eval") for words in commands.given) == 1


def test_without_the_data_the_embedded_sets_run_and_the_others_are_named(
    tmp_path: Path, commands: Commands, start: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("--sets", "mood,sst2,emotion") == 0
    assert "left out, since --data FOLDER does not hold them: sst2, emotion" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"nothing to run; left out.*: sst2$"):
        regret.main(["--sets", "sst2", "--data", str(tmp_path)])
    with pytest.raises(SystemExit, match="no such folder"):
        regret.main(["--sets", "sst2", "--data", str(tmp_path / "gone")])
