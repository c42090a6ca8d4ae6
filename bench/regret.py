"""Regret of a recommendation: how far is what `luthier compare` advises under a small budget below the best that a ten
times larger one finds?

    python bench/regret.py --data ../shared/data --work WORK
    python bench/regret.py --sets mood --methods majority,features --budget 300-tokens --test 20 --out TRY --work WORK
    python bench/regret.py --table                                    (bench/results/regret.md again, from the files)

For every set two comparisons run as a user would start them, with the same training rows, methods and seed:

- *small*: under a budget b, judged on a small test set (`--few`), as somebody with little time and few labels has it;
- *large*: under 10 b, judged on a large test set (`--test`) that shares no row with the small one.

The test sets are apart because the small one chose the recommendation: luck on its rows must not count again as truth.
The recommended run of the small comparison is then scored on the large test set, too (`luthier eval`).

- *Method regret*: best score under 10 b, less the score of the recommended method under 10 b. Was the choice of the
  method right, for somebody who goes on with more training?
- *Run regret*: best score under 10 b, less the score of the recommended run as it came from b. What does a user lose
  who takes it as it is? Where this is large and method regret is not, the budget is to blame and not the advice.

Both on the large test set, in points. The best is chosen on the same rows as the regret is measured on, so regrets come
out too high rather than too low (the table has the best score without that luck in brackets); a recommendation that is
the best itself has a method regret of 0. The interval is of the true regret: the recommendation was fixed before these
rows were seen, so the differences of all methods to it get intervals that hold at once. A regret whose interval reaches
0 is marked as not told from none. One seed: how a run varies from seed to seed is in no interval, though it lifts the
best of several methods as luck on rows does.

Who is told to use none of these yet uses none: what counts for them is the constant answer (of classification, scored
on the large test set), or the untuned model where the task has no such answer. What the named row would have had is
said beside it. A set whose large comparison has no score for the advised method has no method regret.

*Held*: the interval of the small winner's worth (corrected for having been chosen) holds the score of that very run on
the large test set. That is a sample, too, so an exact 95 % interval would hold less often than that; how often is said.

A finished set is a file in `--out`, with both leaderboards and every row's score, and is skipped; a killed run goes on
where it was when it is started again, since comparisons do. Run folders in `--work` are removed with the set finished.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measure
import peer
import regret_sets
from regret_rules import CONSTANT, order, outcome, times
from regret_table import markdown

METHODS = {
    "classification": "zero_shot,majority,few_shot,retrieval,features,full,lora,soft_prompt",
    "generation": "zero_shot,few_shot,retrieval,full,layers,lora,soft_prompt",
}
OUT = peer.HERE / "results" / "regret"
SIZES = ("small", "large")
TESTS = {"small": "few.jsonl", "large": "truth.jsonl"}


class SetError(Exception):
    """A comparison or a scoring failed."""


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of SST-2, Multi30k and regret/; else embedded sets alone")
    parser.add_argument("--sets", default=",".join(regret_sets.SETS))
    parser.add_argument("--methods", default="", help="of every set; without it seven or eight that suit its task")
    parser.add_argument("--budget", default="4k-tokens", help="b, of each method")
    parser.add_argument("--truth", type=int, default=10, help="how many times b the large budget is")
    parser.add_argument("--rows", type=int, default=1000, help="training rows at most, a fifth of them to validate")
    parser.add_argument("--few", type=int, default=150, help="rows of the small test set at most")
    parser.add_argument("--test", type=int, default=600, help="rows of the large test set at most")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of a file a set; the table lies beside it")
    parser.add_argument("--work", type=Path, default=Path("runs/regret"), help="run folders, while they are needed")
    parser.add_argument("--keep", action="store_true", help="do not remove the run folders of finished sets")
    parser.add_argument("--table", action="store_true", help="write the table from what is finished, run nothing")
    options = parser.parse_args(given)
    try:
        times(options.budget, options.truth)
    except ValueError as error:
        sys.exit(str(error))
    if unknown := [name for name in options.sets.split(",") if name not in regret_sets.SETS]:
        sys.exit(f"--sets: there is no {', '.join(unknown)}; {', '.join(regret_sets.SETS)}")
    if options.data and not options.data.is_dir():
        sys.exit(f"--data {options.data}: no such folder; without --data the embedded sets run")
    return options


def settings(options: argparse.Namespace, one: regret_sets.Set) -> dict[str, Any]:
    """What a set's outcome depends on."""
    kept = {key: getattr(options, key) for key in ("budget", "truth", "rows", "few", "test")}
    return kept | {"methods": options.methods or METHODS[one.task]}


def finished(path: Path, asked: dict[str, Any]) -> bool:
    """Whether a set's file is there, made under these settings. Raises SetError where it was made under others."""
    if not path.exists():
        return False
    found = json.loads(path.read_text(encoding="utf-8"))["settings"]
    if other := [key for key in asked if found.get(key) != asked[key]]:
        key = other[0]
        raise SetError(f"{path.name} was made with {key} {found.get(key)}, not {asked[key]}: choose another --out")
    return True


def run(words: Sequence[str], folder: Path) -> None:
    """Luthier's command line in that folder, as a user starts it; its output goes to `log.txt` there."""
    command = [sys.executable, "-m", "luthier", *words]
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    env = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in paths if path),
    }
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        print(f"$ luthier {shlex.join(words)}", file=log, flush=True)
        done = subprocess.run(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        tail = (folder / "log.txt").read_text(encoding="utf-8").strip().splitlines()[-3:]
        raise SetError(f"luthier {words[0]} ended with {done.returncode}: {' / '.join(tail)}")


def compare(asked: dict[str, Any], size: str) -> list[str]:
    """The comparison of that size."""
    budget = asked["budget"] if size == "small" else times(asked["budget"], asked["truth"])
    return [
        "compare", "train.jsonl", "--test", TESTS[size], "--methods", asked["methods"], "--budget", budget,
        "--seeds", "1", "--yes", "--out", size,
    ]  # fmt: skip


def read(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def lines_of(path: Path) -> list[Any]:
    """The objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def trial(folder: Path, size: str, name: str) -> Path:
    """The one run of a row."""
    return folder / size / "trials" / name.replace("/", "+") / "seed-0"


def small_scores(folder: Path, board: dict[str, Any]) -> dict[str, list[float]]:
    """What the best row's run at the small budget has on the large test set, in the large comparison's order."""
    name = board["best"]
    if not name:
        return {}
    place = trial(folder, "small", name)
    kept = place / "evaluations" / "truth.json"
    if not kept.exists():
        run(["eval", str(place.relative_to(folder)), TESTS["large"]], folder)
    scores, rows = read(kept)["per_row"], lines_of(folder / TESTS["large"])
    try:
        places = order(rows, lines_of(folder / "large" / "test_rows.jsonl"))
    except ValueError as error:
        raise SetError(str(error)) from error
    if len(scores) != len(places):
        raise SetError(f"{len(scores)} rows were scored, {len(places)} judged")
    return {name: shortened([scores[at] for at in places])}


def large_scores(folder: Path, board: dict[str, Any]) -> dict[str, list[float]]:
    """What every row of the large comparison has on each test row, and the constant answer where there is one."""
    floor, found = folder / "large" / "floor.json", {}
    if floor.exists():
        found[CONSTANT] = shortened(read(floor)["per_row"])
    for row in board["rows"]:
        if row["status"] == "ok":
            found[row["name"]] = shortened(read(trial(folder, "large", row["name"]) / "eval.json")["per_row"])
    return found


def shortened(scores: Sequence[float]) -> list[float]:
    """Two decimals of chrF are enough; right and wrong are 1 and 0."""
    return [int(x) if x == int(x) else round(x, 2) for x in scores]


def without_paths(value: Any, folder: Path) -> Any:
    """A board as it may be published: what lies in the run folder is told from there, no other place is told."""
    if isinstance(value, dict):
        return {key: without_paths(part, folder) for key, part in value.items()}
    if isinstance(value, list):
        return [without_paths(part, folder) for part in value]
    if not isinstance(value, str):
        return value
    for place, short in ((f"{folder.resolve()}/", ""), (str(Path.home()), "~"), (str(peer.HERE.parent.resolve()), ".")):
        value = value.replace(place, short)
    return value


def one_set(one: regret_sets.Set, files: Sequence[Path], options: argparse.Namespace) -> dict[str, Any]:
    """Both comparisons of a set and everything that is kept of them."""
    asked, folder = settings(options, one), options.work / one.name
    rows = regret_sets.prepare(one, files, (options.rows, options.few, options.test), folder)
    boards = {}
    for size in SIZES:
        run(compare(asked, size), folder)
        boards[size] = without_paths(read(folder / size / "leaderboard.json"), folder)
    scores = {"small": small_scores(folder, boards["small"]), "large": large_scores(folder, boards["large"])}
    return {
        "set": one.name, "task": one.task, "known": one.known, "points": one.points, "settings": asked, "rows": rows,
        "commands": {size: shlex.join(["luthier", *compare(asked, size)]) for size in SIZES}, **peer.about(),
        "versions": measure.versions("luthier", "torch", "transformers", "scikit-learn", "sacrebleu"),
        "scores": scores, **boards,
    }  # fmt: skip


def save(path: Path, record: dict[str, Any]) -> None:
    """Written whole or not at all; a list of numbers stands on one line."""
    scores = json.dumps(record["scores"], separators=(",", ":"))
    text = json.dumps(record | {"scores": None}, indent=1, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.write_text(text.replace('"scores": null', f'"scores": {scores}') + "\n", encoding="utf-8")
    half.replace(path)


def write_table(options: argparse.Namespace) -> str:
    """The table of every set that is finished; its last line."""
    found = [read(path) for name in regret_sets.SETS if (path := options.out / f"{name}.json").exists()]
    if not found:
        sys.exit(f"{options.out}: no set is finished")
    asked = found[0]["settings"]
    words = [word for key in ("budget", "truth", "rows", "few", "test") for word in (f"--{key}", str(asked[key]))]
    command = f"python bench/regret.py --data FOLDER {shlex.join(words)}"
    text = markdown([outcome(record) for record in found], command)
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    return text.strip().splitlines()[-1]


def main(given: Sequence[str] | None = None) -> None:
    """Run what is not finished, and write the table after every set."""
    options = arguments(given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a comparison does not outlive this
    if options.table:
        print(write_table(options))
        return
    asked = [regret_sets.SETS[name] for name in options.sets.split(",")]
    files = {one.name: regret_sets.paths(one, options.data) for one in asked}
    away = [one.name for one in asked if not files[one.name]]
    if away:
        said = f"left out, since --data FOLDER does not hold them: {', '.join(away)}"
        sys.exit(f"nothing to run; {said}") if len(away) == len(asked) else print(said, flush=True)
    failed = 0
    for one in (each for each in asked if files[each.name]):
        path = options.out / f"{one.name}.json"
        try:
            if finished(path, settings(options, one)):
                print(f"{one.name}: finished before", flush=True)
                continue
            save(path, one_set(one, files[one.name], options))
        except SetError as error:
            print(f"{one.name}: {error}", flush=True)
            failed += 1
            continue
        if not options.keep:
            shutil.rmtree(options.work / one.name)
        print(f"{one.name}: done. {write_table(options)}", flush=True)
    print(write_table(options))
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    main()
