"""Several models, a curve and an endpoint in one comparison: files, statistics, words, kills, resumption.

The worker runs in this process here (starting one takes longer than its work); `test_kills.py` kills real ones.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from comparing import compare
from fake_server import Reply, completed, said, serving
from luthier.comparison import trial, trial_list
from luthier.comparison.board import command_of, gather
from luthier.comparison.plan import Request, make_request, read_plans, read_request
from luthier.core.errors import LuthierError
from luthier.evals import formatting
from luthier.evals.bootstrap import Bootstrap
from luthier.io.config import EndpointConfig, run_recipe
from luthier.io.files import read_json
from luthier.reports.comparison import sentences, terminal
from luthier.reports.comparison.publish import publish
from luthier.reports.run_list import entry, facts

pytestmark = pytest.mark.usefixtures("in_this_process")

FIELDS = {
    "name", "method", "status", "reason", "score", "ci95", "seeds", "trainable", "trainable_share", "train_seconds",
    "peak_memory_bytes", "artifact_bytes", "latency_ms", "forgetting", "mergeable", "learning_rate",
    "base_bytes", "tuned", "steps", "batch", "train_cpu_seconds", "search_seconds", "search_cpu_seconds",
    "answer_seconds", "answer_cpu_seconds", "wins", "wins_ci95", "kl", "kl_ci95", "reply_tokens",
}  # fmt: skip
BOARD = {"schema", "task", "metric", "model", "models", "budget", "rows", "best", "constant", "recommendation",
         "verdicts", "winner", "lopsided", "answer", "spent"}  # fmt: skip


WORDS = {"parcel": "delivery", "box": "delivery", "courier": "delivery", "log in": "account access",
         "password": "account access"}  # fmt: skip


def answering(unknown: str = "") -> AbstractContextManager[Any]:
    """A server that knows the words of the rows, but for one."""

    def decide(path: str, body: dict[str, Any], _: int) -> Reply:
        text = body["messages"][-1]["content"] if "messages" in body else body["prompt"].rpartition("Text:")[2]
        label = next((label for word, label in WORDS.items() if word in text and word != unknown), "refund")
        return said(label) if "messages" in body else completed(label)

    return serving(decide)


def kept(board: Mapping[str, Any]) -> Any:
    """What of a board is no measured time or size."""
    same = ("method", "model", "status", "reason", "score", "ci95", "trainable", "forgetting", "learning_rate")
    rows = [{k: row[k] for k in same} for row in board["rows"]]
    points = [
        (e["method"], e["model"], p["rows"], p["score"], p["ci95"], p["tokens"])
        for e in board.get("curve", {}).get("methods", []) for p in e["points"]
    ]  # fmt: skip
    return rows, points


def test_one_model_keeps_its_layout_and_fields(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = str(tiny_folder("llama_tied")), tmp_path / "out"
    board = compare(data, out, [model], methods=["zero_shot", "head"])
    assert set(board) == BOARD and board["model"] == model
    assert all(set(row) == FIELDS | {"model"} and row["model"] == model for row in board["rows"])
    assert (out / "plan.json").exists() and (out / "trials" / "head" / "seed-0" / "eval.json").exists()
    assert sorted(p.name for p in (out / "trials").iterdir()) == ["current-0.json", "head", "zero_shot"]
    assert gather(out)[1]["place"] == f"trials/{board['best']}/seed-0"
    assert f"--model {model}" in command_of(read_request(out))


def test_requests_without_the_new_parts_keep_their_folder() -> None:
    """The hash is over what a request held before there were several models, curves and endpoints."""
    values = dataclasses.asdict(Request())
    before = {k: values[k] for k in ("data", "model", "methods", "budget", "seeds", "batch", "threads")}
    for name in ("train_rows", "encoding", "fill", "anyway", "pair", "answer_tokens", "class_weights", "stream"):
        del before["data"][name]
    text = json.dumps(before, sort_keys=True, ensure_ascii=False)
    assert Request().key == hashlib.sha256(text.encode()).hexdigest()[:8]
    limited = Request(endpoint=EndpointConfig(max_calls=1))
    assert len({r.key for r in (Request(), Request(others=("x",)), Request(curve=(8,)), limited)}) == 4
    assert Request(track=("wandb",)).key == Request().key and Request(track=("wandb",)) == Request()


@pytest.mark.slow
def test_three_models_with_a_curve(data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    tied, untied, out = str(tiny_folder("llama_tied")), str(tiny_folder("llama_untied")), tmp_path / "out"
    with answering() as server:
        there = server.url + "#fake"
        board = compare(data, out, [tied, untied, there], curve=[8, 16, 4000])
        asked = len(server.asked)
        assert compare(data, out, [tied, untied, there], curve=[4000, 16, 8, 8]) == board, "read, not run again"
        assert len(server.asked) == asked
    check_rows(board, tied, untied, there)
    check_curve(board, there)
    check_files(out, board)


def check_rows(board: Mapping[str, Any], tied: str, untied: str, there: str) -> None:
    assert set(board) == BOARD | {"curve"}
    assert board["model"] == f"{tied}, {untied}, {there}"
    rows = {(row["method"], row["model"]): row for row in board["rows"]}
    assert len(rows) == 9 and all(set(row) - {"said"} == FIELDS | {"model"} for row in board["rows"])
    refused = rows["head", there]
    assert refused["status"] == "skipped"
    assert refused["reason"] == "the model is an endpoint: its weights are not here"
    assert rows["zero_shot", there]["score"] == 1.0 and rows["zero_shot", there]["forgetting"] == 0.0
    assert rows["zero_shot", there]["latency_ms"] > 0
    by_name = {row["name"]: row for row in board["rows"]}
    assert len(by_name) == len(rows) and by_name[board["best"]]["score"] == max(r["score"] or 0 for r in board["rows"])
    assert board["budget"]["tokens"] == 3000
    assert [m["tokens"] for m in board["models"]] == [3000, 3000, 0]


def check_curve(board: Mapping[str, Any], there: str) -> None:
    curve = {(e["method"], e["model"]): e for e in board["curve"]["methods"]}
    sizes = board["curve"]["sizes"]
    assert sizes[:2] == [8, 16] and len(sizes) == 3, "a size above the training part is the training part"
    head = next(e for (method, _), e in curve.items() if method == "head")
    assert [p["rows"] for p in head["points"]] == sizes
    for p in head["points"]:
        assert p["tokens"] <= trial_list.scaled(3000, p["rows"], sizes[-1])
    assert [p["rows"] for p in curve["zero_shot", there]["points"]] == sizes[-1:]
    assert [p["rows"] for p in curve["few_shot", there]["points"]] == sizes
    assert ("head", there) not in curve and board["curve"]["main"]


def check_files(out: Path, board: Mapping[str, Any]) -> None:
    request = read_request(out)
    places = {c.place for c in trial_list.trials_of(request)}
    assert len(places) == 3 * 3 * 4 and all((out / "trials" / p / "outcome.json").exists() for p in places)
    for made in trial_list.trials_of(request):
        for recipe in made.folder(out).glob("seed-*/recipe.yaml"):
            text = recipe.read_text()
            assert f"train_rows: {made.rows or 'null'}" in text and made.model in text
    again, details = publish(out)
    assert again == board
    names = [formatting.name(row) for row in board["rows"] if row["status"] == "ok"]
    assert all(" on " in name for name in names) and set(details["secondary"]) == set(names)
    best, verdicts = board["best"], sentences.verdicts(board)
    against = {v["a"] for v in board["verdicts"] if v["b"] == best}
    assert against == set(names) - {best}, "each is held against the best"
    heads = [v for v in verdicts if v.startswith("head on") and "zero_shot" in v and "behind" not in v]
    assert all(v.count(v.split(" on ")[1].split()[0].rstrip(":")) >= 2 for v in heads), "against its own model's"
    file = StringIO()
    terminal.print_leaderboard(board, Console(file=file, width=150), details)
    assert str(best) in file.getvalue() and sentences.curve_of(board)[:30] in file.getvalue().replace("\n", " ")
    page = (out / "report.html").read_text()
    assert str(best) in page and "How many rows do I need?" in page


def test_differences_across_models_are_paired(data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    """Against the bootstrap over what the runs left. Planted bug that it caught: a bootstrap for each model alone."""
    out = tmp_path / "out"
    with answering(unknown="parcel") as server:
        models = [str(tiny_folder("llama_tied")), server.url + "#fake"]
        board = compare(data, out, models, methods=["zero_shot"])
    request = read_request(out)
    places = {trial_list.name_of(request, c): c.folder(out) for c in trial_list.trials_of(request)}
    scores = {name: read_json(place / "seed-0" / "eval.json")["per_row"] for name, place in places.items()}
    assert {row["name"] for row in board["rows"]} == set(scores)
    assert len({len(s) for s in scores.values()}) == 1, "the same test rows"
    low, best = sorted(scores, key=lambda n: sum(scores[n]))
    nothing = read_json(out / "floor.json")["per_row"]
    lead = Bootstrap({n: [s] for n, s in {**scores, "": nothing}.items()}).together(best, low)
    (said_,) = [v for v in sentences.verdicts(board) if v.startswith(f"{low} is behind")]
    value, *ends = (f"{100 * x:.1f}" for x in (lead.value, lead.low, lead.high))
    assert said_ == f"{low} is behind {best} by {value} points (95 % interval {ends[0]} to {ends[1]})."


def test_a_kill_anywhere_changes_nothing(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted before and after every final run in turn, it ends with the scores of an unbroken one.

    Planted bug that it caught: points of the curve took the whole training part when they were resumed.
    """
    models = [str(tiny_folder("llama_tied")), str(tiny_folder("llama_untied"))]
    asked: Any = {"methods": ["few_shot", "head"], "curve": [12], "budget": "3000-tokens"}
    expected = kept(compare(data, tmp_path / "whole", models, **asked))
    real, count = trial.Bench._final, [0]

    def dying(bench: trial.Bench, *arguments: Any) -> bool:
        count[0] += 1
        if count[0] % 2:
            raise KeyboardInterrupt
        return real(bench, *arguments)

    monkeypatch.setattr(trial.Bench, "_final", dying)
    for _ in range(20):
        try:
            board = compare(data, tmp_path / "broken", models, **asked)
            break
        except KeyboardInterrupt:
            continue
    assert count[0] == 16, "eight final runs, each interrupted once"
    assert kept(board) == expected


def test_a_spent_budget_is_a_row_with_its_reason(data: Path, tmp_path: Path) -> None:
    with answering() as server:
        board = compare(data, tmp_path / "out", [server.url + "#fake"], endpoint={"max_calls": "4"})
        assert len(server.asked) == 4
        (row,) = [r for r in board["rows"] if r["method"] == "zero_shot"]
        assert row["status"] == "failed" and "endpoint.max_calls: 4 calls are made" in row["reason"]
        assert board.recommendation == "No method finished."
        board = compare(data, tmp_path / "more", [server.url + "#fake"], endpoint={"max_calls": 500})
        assert board["best"] and len({json.dumps(b) for b in server.posted()}) == len(server.asked)


def test_what_needs_log_probabilities_says_so(data: Path, tmp_path: Path) -> None:
    with answering() as server:
        board = compare(data, tmp_path / "out", [server.url + "#fake"], endpoint={"classify": "logprobs"})
    rows = {r["method"]: r for r in board["rows"]}
    for method in ("zero_shot", "few_shot"):
        assert rows[method]["status"] == "skipped"
        assert rows[method]["reason"].startswith("the endpoint gives no log-probabilities of a given text")


def test_what_is_wrong_is_said_before_anything_runs(data: Path, tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match=r"--curve 1: numbers"):
        make_request({"path": str(data)}, curve=[1, 8])
    with pytest.raises(LuthierError, match=r"endpoint.max_call: unknown key, did you mean max_calls"):
        make_request({"path": str(data)}, endpoint={"max_call": 3})
    with pytest.raises(LuthierError, match=r"there is no tracker"):
        make_request({"path": str(data)}, track=["paper"])
    models = [str(tmp_path / "nothing"), "http://127.0.0.1:9/v1#m"]
    with pytest.raises(LuthierError, match="there is no such folder"):
        compare(data, tmp_path / "out", models)
    assert not (tmp_path / "out").exists()
    with pytest.raises(LuthierError, match="no comparison was begun here"):
        read_plans(make_request({"path": str(data)}, models=models), tmp_path / "out")
    with pytest.raises(LuthierError, match="no comparison was begun here"):
        gather(tmp_path / "out")


def test_names_and_keys() -> None:
    models = ("/a/base", "/b/base", "owner/other", "http://h:1/v1#other", "http://h:1/v1#模型/七")
    short = trial_list.short_names(models)
    assert short["/a/base"] == "/a/base" and short["http://h:1/v1#模型/七"] == "模型/七"
    request = Request(model=models[0], others=models[1:])
    keys = [trial_list.model_key(request, m) for m in models]
    assert len(set(keys)) == len(models) and all("/" not in k and ":" not in k and "#" not in k for k in keys)
    assert trial_list.model_key(Request(), "embedded") == ""


def test_the_list_of_runs_names_the_best_with_its_model(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    out = tmp_path / "out"
    board = compare(data, out, [str(tiny_folder(k)) for k in ("llama_tied", "llama_untied")], methods=["zero_shot"])
    found = entry(out)
    assert found.method == f"1 methods, best {board['best']}" and found.model == board["model"]
    assert found.score == max(row["score"] for row in board["rows"]) and found.state == "complete"
    assert set(facts(out)["scores"]) == {row["name"] for row in board["rows"]}
    card = (out / "MODEL_CARD.md").read_text()
    assert next(p for p in out.glob("trials/*/zero_shot/seed-0") if str(p) in card).is_dir()
    (out / "leaderboard.json").unlink()
    next(out.glob("trials/*/zero_shot/outcome.json")).unlink()
    assert entry(out).state == "resumable (1 of 2 trials)"
    with pytest.raises(LuthierError, match="name one of the runs in it, such as "):
        run_recipe(out)


@pytest.mark.slow
def test_the_commonest_label_has_one_row_for_all_models(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    """On the first model that could be used; every row on every model is held against it."""
    models = [str(tmp_path / "nothing"), *(str(tiny_folder(k)) for k in ("llama_tied", "llama_untied"))]
    board = compare(data, tmp_path / "out", models, methods=["majority", "zero_shot", "direct"])
    rows = [row for row in board["rows"] if row["method"] == "majority"]
    assert [(row["model"], row["status"]) for row in rows] == [(models[1], "ok"), (models[0], "failed")]
    floor = read_json(tmp_path / "out/floor.json")
    assert rows[0]["score"] == sum(floor["per_row"]) / len(floor["per_row"])
    called = f"always answering the commonest label ({floor['answer']})"
    told = {v.split(" is ")[0] for v in board.verdicts if called in v}
    others = [row for row in board["rows"] if row["status"] == "ok" and row["method"] != "majority"]
    assert len(others) > 3 and {row["model"] for row in others} == set(models[1:])
    assert {row["name"] for row in others if row["ci95"][0] <= rows[0]["score"]} <= told


@pytest.mark.slow
def test_what_is_for_other_data_has_no_row_unless_it_was_named(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    rows = [json.dumps({"prompt": f"question {i}", "completion": f"answer {i}"}) + "\n" for i in range(20)]
    (tmp_path / "free.jsonl").write_text("".join(rows))
    model = [str(tiny_folder("llama_tied"))]
    board = compare(tmp_path / "free.jsonl", tmp_path / "out", model, methods=["direct", "features"])
    found = {row["method"]: row["status"] for row in board["rows"]}
    assert "majority" not in found and found["features"] == "skipped" and found["zero_shot"] == "ok"
    assert gather(tmp_path / "out")[1]["notes"] == ["Not tried, being for other data: majority."]
    assert not (tmp_path / "out/floor.json").exists()


def test_a_search_that_says_little_is_noted(data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    """A few steps of one row: the same batch for every trial of the comparison, and a note at the top."""
    out, model = tmp_path / "out", str(tiny_folder("llama_tied"))
    compare(data, out, [model], methods=["lora", "head"], budget="600-tokens")
    assert read_json(out / "plan.json")["request"]["batch"] == 1
    recipes = [run_recipe(out / "trials" / method / "seed-0") for method in ("lora", "head")]
    assert [r.training.batch for r in recipes] == [1, 1]
    tried = [read_json(path) for path in out.glob("trials/*/search/*/result.json")]
    assert len(tried) == 6 and all(0 < t["steps"] < 8 for t in tried), "nothing above a range after so few"
    (steps,) = {max(t["steps"] for t in tried)}
    notes = {note: names for names, note in gather(out)[1]["run_notes"]}
    assert notes[f"learning rates were judged after {steps} steps: a larger budget would tell more"] == "lora, head"
    (unseen,) = [note for note in gather(out)[1]["notes"] if note.startswith("The budget of 600 tokens holds about")]
    assert f"of the {read_json(out / 'split.json')['train']} training rows, once" in unseen
    compare(data, tmp_path / "less", [model], methods=["lora", "head"], budget="200-tokens")
    assert not list((tmp_path / "less").glob("trials/*/search")), "so few steps are no search"
    notes = {note: names for names, note in gather(tmp_path / "less")[1]["run_notes"]}
    assert notes["too few steps to choose a learning rate by: the middle of its range was taken"] == "lora, head"
