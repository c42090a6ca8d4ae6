"""The same command on other rows or another model: noticed by content, whether results are finished or half done."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from luthier.api import training as api
from luthier.comparison.execution import supervisor
from luthier.comparison.plan import Plan, Request
from luthier.comparison.same_inputs import differences, judging
from luthier.core.errors import LuthierError
from luthier.core.records import Text
from luthier.core.split import Split
from luthier.io.config import DataConfig, Recipe
from luthier.models.loading import hashes
from luthier.models.loading.bundled import sha256_of
from luthier.models.loading.fingerprint import fingerprint, parts
from luthier.runs.inputs import NAME, changed, keep_or_check, of_recipe, set_aside

LINES = [{"text": f"row {i} {word}", "label": word} for i in range(10) for word in ("refund", "delivery")]


@pytest.fixture
def base(tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that this test may change, and a cache of its own."""
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(tiny_folder("llama_tied"), tmp_path / "base"))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


def recipe(base: Path, rows: Path) -> Recipe:
    return tiny.recipe(base, "bitfit", data=DataConfig(str(rows)), training={"tokens": 300, "epochs": None})


def flip(path: Path, at: int) -> None:
    """Change one byte in place, and leave size and time as they were."""
    stat = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        one = file.read(1)
        file.seek(at)
        file.write(bytes([one[0] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


CHANGES: dict[str, Callable[[Path, Path], None]] = {
    "data": lambda base, rows: edit(rows, "row 3 refund", "row 3 return"),
    "data (a label)": lambda base, rows: edit(rows, '"label": "refund"', '"label": "delivery"'),
    "weights": lambda base, rows: flip(base / "model.safetensors", (base / "model.safetensors").stat().st_size // 2),
    "configuration": lambda base, rows: edit(base / "config.json", '"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'),
    "tokenizer": lambda base, rows: edit(base / "tokenizer_config.json", "<|endoftext|>", "<|im_start|>"),
    "chat template": lambda base, rows: edit(base / "chat_template.jinja", "assistant\n", "assistant:"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_is_named_and_refused(what: str, base: Path, rows: Path, tmp_path: Path) -> None:
    """Finished or half done. Seen failing with the finished result shown as it was, and new rows trained on."""
    out = api.train(recipe(base, rows), tmp_path / "out")
    before = (out / "eval.json").read_bytes()
    assert api.train(recipe(base, rows), out) == out
    CHANGES[what](base, rows)
    named = what.split(" (")[0] if what.startswith("data") else f"{what} of {base}"
    said = f"the {named} changed after it was begun: choose another --out, or give --again to begin anew"
    with pytest.raises(LuthierError) as error:
        api.train(recipe(base, rows), out)
    assert str(error.value) == f"{out}: {said}"
    assert (out / "eval.json").read_bytes() == before
    (out / "eval.json").unlink()  # as if killed before its end
    with pytest.raises(LuthierError, match="changed after it was begun"):
        api.train(recipe(base, rows), out)


def test_only_settings_that_name_files_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text is none, however long; a file called as a method is none of its settings. Seen ending in an OSError."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "soft_prompt").write_text("notes")
    (tmp_path / "start.txt").write_text("Read.")
    split = Split("text", (Text("a"),), ())
    for start, named in (("Read the text carefully. " * 20, []), ("start.txt", ["file of start"])):
        found = of_recipe(Recipe(patch={"name": "soft_prompt", "start": start}), split)
        assert [key for key in found if key.startswith("file of")] == named


def test_again_sets_aside_and_begins_anew(
    base: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = api.train(recipe(base, rows), tmp_path / "out")
    for number in (1, 2):
        edit(rows, f"row {number} refund", f"row {number} return")
        api.train(recipe(base, rows), out, again=True)
        assert f"what stood in {out} is now in {out}.before-{number}" in capsys.readouterr().err
    assert all((tmp_path / name / "eval.json").is_file() for name in ("out", "out.before-1", "out.before-2"))
    assert api.train(recipe(base, rows), out) == out
    api.train(recipe(base, rows), tmp_path / "new", again=True)  # nothing stood there


def test_only_results_are_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    set_aside(tmp_path / "mine", "recipe.yaml")
    set_aside(tmp_path / "nothing", "recipe.yaml")
    (tmp_path / "mine" / "recipe.yaml").touch()
    monkeypatch.chdir(tmp_path / "mine" / "deep")
    with pytest.raises(LuthierError, match="cannot be set aside from within"):
        set_aside(Path(".."), "recipe.yaml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine"]


def test_what_cannot_be_compared_is_said(
    base: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The data gone behind a finished run; a folder of an earlier version, finished or not: all go on."""
    out = api.train(recipe(base, rows), tmp_path / "out")
    rows.rename(tmp_path / "gone")
    assert api.train(recipe(base, rows), out) == out
    said = f"{out}: whether data and model are still the same cannot be checked: "
    assert f"{said}{rows} does not exist" in capsys.readouterr().err
    (tmp_path / "gone").rename(rows)
    (out / NAME).unlink()
    for _ in range(2):
        assert api.train(recipe(base, rows), out) == out
        assert f"{said}it was begun by an earlier version" in capsys.readouterr().err
        (out / "eval.json").unlink(missing_ok=True)


@pytest.mark.slow
def test_a_comparison_notices(base: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seen failing with the finished board shown as it was."""
    request = Request(DataConfig(str(rows)), str(base), ("zero_shot",), "300-tokens", threads=1)
    out = tmp_path / "out"
    supervisor.run(request, out)
    supervisor.run(request, out)
    edit(base / "chat_template.jinja", "assistant\n", "assistant:")
    edit(rows, '"label": "refund"', '"label": "delivery"')
    for _ in range(2):
        with pytest.raises(
            LuthierError, match=rf"the data and the chat template of {base} changed after .* or give --again"
        ):
            supervisor.run(request, out)
        (out / "trials" / "zero_shot" / "outcome.json").unlink(missing_ok=True)
    supervisor.run(request, out, again=True)
    supervisor.run(request, out)
    assert (tmp_path / "out.before-1" / "plan.json").is_file()
    plan = json.loads((out / "plan.json").read_text())
    del plan["parts"]
    (out / "plan.json").write_text(json.dumps(plan))
    supervisor.run(request, out)
    assert "cannot be checked: it was begun by an earlier version" in capsys.readouterr().err


def test_a_comparison_notices_another_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is in the file, not by its name; a plan of an earlier version kept none and goes on."""
    monkeypatch.chdir(tmp_path)
    function = Path("reward.py")
    function.write_text("def vowels(prompt, answer, row):\n    return 1.0\n")
    request = Request(model="http://127.0.0.1:9/v1", reward="reward.py:vowels", judge="re:x")
    plan = Plan(request, 1, None, None, "float32", 1, "", "", judging=judging(request))
    assert list(plan.judging) == ["reward reward.py:vowels"] and differences(plan, request.model, None) == []
    function.write_text("def vowels(prompt, answer, row):\n    return 2.0\n")
    assert differences(plan, request.model, None) == ["reward reward.py:vowels"]
    assert differences(replace(plan, judging={}), request.model, None) == []


def test_parts_of_a_model(base: Path) -> None:
    """Each change is seen in its own part, a template within the tokenizer's settings too."""
    before = parts(str(base))
    edit(base / "chat_template.jinja", "assistant\n", "assistant:")
    assert changed(before, parts(str(base))) == ["chat template"]
    template = (base / "chat_template.jinja").read_text()
    (base / "chat_template.jinja").unlink()
    path = base / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": template}))
    assert changed(before, parts(str(base))) == ["chat template"]
    flip(base / "model.safetensors", (base / "model.safetensors").stat().st_size // 2)
    assert changed(before, parts(str(base))) == ["weights", "chat template"]


def test_hashes_are_remembered_until_a_file_is_touched(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with a change in the middle of a large file unseen, and with one that keeps size and time."""
    monkeypatch.setattr(hashes, "SETTLED", -1.0)
    read: list[str] = []
    real = sha256_of

    def counted(path: Path) -> str:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(hashes, "sha256_of", counted)
    before = fingerprint(base)
    count = len(read)
    assert fingerprint(base) == before and len(read) == count
    flip(base / "model.safetensors", 5_000)
    assert fingerprint(base) != before and read[count:] == ["model.safetensors"]
    monkeypatch.setattr(hashes, "SETTLED", 60.0)
    (base / "merges.txt").write_text("a b")
    count = len(read)
    assert fingerprint(base) == fingerprint(base) and read[count:] == ["merges.txt"] * 2
    monkeypatch.setenv("LUTHIER_CACHE", str(base / "config.json"))  # a cache that cannot be written
    assert len(fingerprint(base)) == 16


@settings(max_examples=50)
@given(
    st.dictionaries(st.text(max_size=3), st.text(max_size=2)), st.dictionaries(st.text(max_size=3), st.text(max_size=2))
)
def test_changed_names_every_difference(one: dict[str, str], two: dict[str, str]) -> None:
    assert set(changed(one, two)) == {key for key, _ in set(one.items()) ^ set(two.items())}


def test_what_was_given_is_free_until_something_is_trained(tmp_path: Path) -> None:
    keep_or_check(tmp_path, {"data": "a"}, begun=False)
    keep_or_check(tmp_path, {"data": "b"}, begun=False)
    keep_or_check(tmp_path, {"data": "b"}, begun=True)
    with pytest.raises(LuthierError, match="the data changed after"):
        keep_or_check(tmp_path, {"data": "a"}, begun=True)
