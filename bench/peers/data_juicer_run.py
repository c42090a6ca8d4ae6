"""Data-Juicer's six operators on WORK/input, one process, through its own executor.

    data_juicer_run.py WORK '[{"text_length_filter": {"min_len": 500}}]'

Operators are fused where it can, without trying them first; no tracing, checkpoints or caches. Importing and a first
run over two documents are start-up. Its workers are processes: the peak is the larger one of theirs and its own.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

BEGUN = time.perf_counter()
os.environ |= {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_CACHE": f"{sys.argv[1]}/cache"}
from data_juicer.config import init_configs  # noqa: E402
from data_juicer.core import DefaultExecutor  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))
import measure  # noqa: E402


def run(folder: Path, work: Path, operators: list[object]) -> None:
    """The recipe over a folder of one file."""
    out = work / "theirs"
    for old in (out, work / "cache"):
        shutil.rmtree(old, ignore_errors=True)
    out.mkdir()
    (source,) = folder.glob("*.jsonl")
    recipe = {
        "project_name": "six", "dataset_path": str(source), "export_path": str(out / "kept.jsonl"),
        "work_dir": str(out), "np": 1, "use_cache": False, "op_fusion": True, "fusion_strategy": "greedy",
        "open_tracer": False, "open_monitor": False, "open_insight_mining": False, "keep_stats_in_res_ds": False,
        "process": operators,
    }  # fmt: skip
    (out / "recipe.yaml").write_text(json.dumps(recipe))
    DefaultExecutor(init_configs(["--config", str(out / "recipe.yaml")])).run()


def main(work: Path, operators: list[object]) -> None:
    """Warm up, run, and say what was kept."""
    figures = measure.warmed(
        BEGUN, lambda: run(work / "few", work, operators), lambda: run(work / "input", work, operators)
    )
    kept = [json.loads(line)["id"] for line in (work / "theirs" / "kept.jsonl").open(encoding="utf-8")]
    figures |= {"kept": kept, "versions": {"data-juicer": version("py-data-juicer")}}
    print(json.dumps(figures), file=sys.__stdout__)  # it sends what is printed elsewhere


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
