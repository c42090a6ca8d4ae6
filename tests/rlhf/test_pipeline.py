"""From imitation over a reward to a policy: stages in one folder, what each gained, resumed where it was killed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from commands import said
from luthier.core.errors import LuthierError
from luthier.core.records import Asked, Chat, Judged, Message, Preference, Ranking
from luthier.core.split import Split
from luthier.data.read import read
from luthier.io.files import read_json
from luthier.rlhf import stages as running
from luthier.rlhf.paired import paired, without_length
from luthier.rlhf.parts import JUDGE, LEARN, REWARD, TEST, write_parts
from luthier.rlhf.pipeline import Pipeline, read_pipeline
from luthier.rlhf.stages import stages_of


def jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def recipe(tmp_path: Path, model: Path | str = "embedded", **changes: Any) -> Path:
    """A pipeline of three stages on a few pairs."""
    rows = [{"prompt": f"q {i}", "chosen": f"aaaa {i}", "rejected": f"bbbb {i}"} for i in range(40)]
    small = {"tokens": 1500, "batch": 4, "learning_rate": 0.01}
    values: dict[str, Any] = {
        "model": str(model), "data": {"path": str(jsonl(tmp_path / "pairs.jsonl", rows))},
        "stages": {
            "sft": {"method": "lora", "objective": {"name": "sft", "answers": "all"}, "training": small},
            "reward": {"method": "lora", "objective": {"name": "reward"}, "training": small},
            "ppo": {"method": "lora", "objective": {"name": "ppo", "new_tokens": 4},
                    "training": {**small, "tokens": 6000}},
        },
        "judge": {"method": "lora", "objective": {"name": "reward"}, "training": small},
        "answers": 2, "prompts": 4, "new_tokens": 4, "threads": 1, "dtype": "float32",
    }  # fmt: skip
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(values | changes))
    return path


def test_three_stages_end_to_end_and_once_only(
    tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the last stage and while it was measured, the same command ends with the same report."""
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    path, out = recipe(tmp_path, tiny_folder("llama_tied")), tmp_path / "out"
    begun: list[str] = []

    @contextmanager
    def bar(name: str) -> Any:
        begun.append(name)
        if name == "ppo" and begun.count("ppo") == 1:
            raise KeyboardInterrupt
        yield lambda report: None

    with pytest.raises(KeyboardInterrupt):
        running.run(read_pipeline(path), out, bar, print)
    assert begun == ["sft", "reward", "ppo"] and not (out / "report.json").exists()
    first = running.run(read_pipeline(path), out, bar, print)
    names = {"name", "reward", "gain", "gain_se", "kl", "win_rate"}
    assert [stage["name"] for stage in first["stages"]] == ["sft", "reward", "ppo"]
    sft, reward, ppo = first["stages"]
    assert all(names <= stage.keys() for stage in (sft, reward, ppo))
    assert reward["gain"] is None and 0 <= reward["accuracy"] <= 1
    assert sft["before"] == "untuned" and ppo["before"] == "sft" and math.isfinite(ppo["kl"])
    assert 0 <= ppo["win_rate"] <= 1 and ppo["gain_se"] > 0
    assert len(first["samples"]) == 4 and list(first["samples"][0]["answers"]) == ["untuned", "sft", "ppo"]
    made = read_json(out / "stages" / "ppo" / "eval.json")["tokens"]
    (out / "report.json").unlink()
    (out / "answers" / "ppo.json").unlink()
    again = running.run(read_pipeline(path), out, bar, print)
    assert json.dumps(again) == json.dumps(first) and read_json(out / "stages" / "ppo" / "eval.json")["tokens"] == made
    told = said("rlhf", path, "--out", out)
    assert "ppo: gain" in told and "on sft" in told and "judge: " in told and (out / "report.html").exists()
    assert (out / "stages" / "ppo" / "rollouts.html").exists()
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "各阶段" in page and page.count("<h3") == 4
    with pytest.raises(LuthierError, match="holds another pipeline"):
        running.run(read_pipeline(path, ["seed=1"]), out, bar, print)


def test_who_goes_on_from_whom(tmp_path: Path) -> None:
    found = stages_of(read_pipeline(recipe(tmp_path)), Path("out"))
    assert [(s.name, s.writes) for s in found] == [("sft", True), ("reward", False), ("ppo", True), ("judge", False)]
    sft, reward, ppo, judge = (s.recipe for s in found)
    assert (sft.start, reward.start, judge.start) == ("", "", "") and ppo.start == "out/stages/sft"
    assert ppo.reward == "out/stages/reward" and sft.reward == reward.reward == ""
    parts = [Path(r.data.path).name for r in (sft, reward, ppo, judge)]
    assert parts == [LEARN, REWARD, LEARN, JUDGE] and {Path(r.data.test or "").name for r in (sft, judge)} == {TEST}
    given = stages_of(read_pipeline(recipe(tmp_path, judge="re:x", reward="re:y")), Path("out"))
    assert [s.name for s in given] == ["sft", "reward", "ppo"] and given[2].reward == "out/stages/reward"


def test_a_judge_learns_from_pairs_that_no_reward_has_seen(tmp_path: Path) -> None:
    """The halves are of prompts, so that two rows of one prompt are on the same side; rows are read as they were."""
    asked = [(Message("user", f"q {i // 2}"),) for i in range(40)]
    rows = tuple(Preference(m, f"good {i}", f"bad {i}") for i, m in enumerate(asked))
    test = (Ranking((Message("user", "t"),), ("a", "b", "c"), (1, 2, 3)), Judged((Message("user", "t"),), "a", True))
    write_parts(tmp_path, Split("preference", rows, (), test), halved=True)
    reward, judge = (read(tmp_path / name).records for name in (REWARD, JUDGE))
    assert len(reward) + len(judge) == 40 and min(len(reward), len(judge)) > 8
    prompts = [{row.asked for row in part} for part in (reward, judge)]
    assert not prompts[0] & prompts[1] and sorted(map(repr, (*reward, *judge))) == sorted(map(repr, rows))
    assert read(tmp_path / LEARN).records == rows
    write_parts(tmp_path, Split("preference", rows, (), rows[:1]), halved=False)
    assert len(read(tmp_path / REWARD).records) == 40 and (tmp_path / JUDGE).read_text() == ""
    chats = (Chat((Message("user", "1 + 1"), Message("assistant", "2"))), Asked((Message("user", "2 + 2"),)))
    write_parts(tmp_path, Split("generation", chats[:1], (), chats[:1]), halved=False)
    assert read(tmp_path / LEARN).records == chats[:1]


def test_gains_by_hand() -> None:
    """Two prompts, two answers each: differences (1, 3) and (0, 2), so means 2 and 1; deviation 1/√2 over √2."""
    assert list(paired([2, 4, 1, 3], [1, 1, 1, 1], 2)) == pytest.approx([1.5, 0.5])
    assert paired([1.0, 2.0], [0.0, 0.0], 2) == (1.5, math.inf)
    one, other = without_length(([1.0, 2.0], [3.0, 4.0]), ([10, 20], [30, 40]))
    assert [*one, *other] == pytest.approx([0.0] * 4), "length explains it all"
    one, other = without_length(([1.0, 1.0], [0.0, 0.0]), ([18, 22], [9, 11]))
    assert paired(one, other, 1)[0] == pytest.approx(1.0), "seen failing: a gain beside longer answers went to length"
    assert without_length(([1.0], [2.0]), ([5], [5])) == ([1.0], [2.0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stages": {}}, "stages: at least one"),
        ({"stages": {"sft": {"method": "lora"}}}, "stages.sft: objective.name: says what the stage learns"),
        (
            {"stages": {"sft": {"method": "lora", "model": "x", "objective": {"name": "sft"}}}},
            "stages.sft.model: belongs",
        ),
        ({"stages": {"ppo": {"method": "lora", "objective": {"name": "ppo"}}}}, "stages.ppo: needs a reward"),
        ({"stages": {"judge": {"method": "lora", "objective": {"name": "sft"}}}}, "names of letters and digits"),
        ({"stages": {"untuned": {"method": "lora", "objective": {"name": "sft"}}}}, "neither judge nor untuned"),
        (
            {"stages": {"sft": {"method": "lora", "objective": {"name": "sft"}, "reward": "re:x"}}},
            "stages.sft.reward: sft has no use for a reward",
        ),
        ({"stages": {"x": {"method": "lora", "objective": {"name": "sfd"}}}}, "stages.x: there is no objective 'sfd'"),
        ({"judge": {"method": "lora", "objective": {"name": "sft"}}}, "judge: learns numbers"),
        ({"judge": ""}, "judge: who says what a stage has gained"),
        ({"judge": "ask:embedded"}, "judge: gives numbers"),
        ({"judge": "nowhere"}, "nowhere is neither a run folder"),
        ({"staged": {}}, "staged: unknown key, did you mean stages"),
        ({"data": {"paths": "x"}}, "data.paths: unknown key"),
    ],
)
def test_what_cannot_work_is_said_first(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = recipe(tmp_path, **changes)
    with pytest.raises(LuthierError, match=words) as error:
        read_pipeline(path)
    assert str(error.value).startswith(str(path))


def test_rows_that_no_stage_can_learn_from(tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match="no rows are held out"):
        write_parts(tmp_path, Split("preference", (), ()), halved=True)
    row = Chat((Message("user", "x"), Message("assistant", "", calls="[]")))
    with pytest.raises(LuthierError, match="words only"):
        write_parts(tmp_path, Split("generation", (row,), (), (row,)), halved=False)


@pytest.mark.parametrize("name", ["replies", "replies.zh", "arithmetic"])
def test_the_recipes_that_come_with_it_are_whole(name: str) -> None:
    found: Pipeline = read_pipeline(Path(__file__).parents[2] / "recipes" / f"{name}.yaml")
    assert list(found.recipes)[-1] in ("judge", "grpo")
