"""What a benchmark needs besides its two sides: the peer's own environment, a side run to its end, a result on disk."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import measure

HERE = Path(__file__).parent
THREADS = min(2, len(measure.cores()))
Figures = dict[str, Any]
QUIET = 0.10  # share of the cores that others may take during a measurement; beyond it the run is done again


def environment(name: str) -> str:
    """The Python of the peer's own environment, made from `peers/NAME.txt` on first use."""
    pins = HERE / "peers" / f"{name}.txt"
    key = hashlib.sha256(pins.read_bytes()).hexdigest()[:8]
    folder = HERE.parent / ".bench" / f"{name}-{key}"
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists():
        print(f"making the environment of {name} (once, minutes)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", pins], check=True)
        ready.touch()
    return str(python)


def side(command: list[str | Path], threads: int) -> Figures:
    """Run one side; its last line of output is its figures. A disturbed run is done again, twice at most."""
    env = os.environ | {
        "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(map(str, (HERE, HERE.parent / "src"))),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error",
    }  # fmt: skip
    figures: Figures = {}
    for _ in range(3):
        done = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-4000:]}")
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        if figures.get("others", 0.0) <= QUIET:
            return figures
        print(f"  other processes took {figures['others']:.0%} of the cores: once more", flush=True)
    return figures


def luthier(*given: str) -> str:
    """A command of this checkout to its end; what it prints. Ends the program where it fails; progress is shown."""
    env = os.environ | {"PYTHONPATH": str(HERE.parent / "src"), "COLUMNS": "160"}
    command = [sys.executable, "-m", "luthier", *given]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"luthier {' '.join(given)} ended with {done.returncode}\n{done.stdout}")
    return done.stdout


def rounds(
    sides: dict[str, Callable[[], Figures]], count: int, line: Callable[[Figures], str]
) -> dict[str, list[Figures]]:
    """Every side in turn, `count` times, so that a change of the machine's mood meets all of them."""
    found: dict[str, list[Figures]] = {name: [] for name in sides}
    for round_ in range(count):
        for name, run in sides.items():
            found[name].append(run())
            print(f"  round {round_ + 1}: {name}: {line(found[name][-1])}", flush=True)
    return found


def middle(figures: list[Figures], key: str) -> float:
    """The median of one figure over the rounds."""
    return float(median(f[key] for f in figures))


def about() -> Figures:
    """Commit, day and machine."""
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=False
    )
    cpu = [
        x.split(":", 1)[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")
    ]
    flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[-1].split("\n", 1)[0].split()
    return {
        "commit": git.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": {
            "processor": cpu[0] if cpu else platform.processor(),
            "cores": os.cpu_count(),
            "cores of the measurement": len(measure.cores()),
            "vector instructions": "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "neither AVX",
            "bf16 instructions": any(f in flags for f in ("avx512_bf16", "amx_bf16")),
            "python": platform.python_version(),
        },
    }


def save(name: str, result: Figures) -> None:
    """`results/NAME.json` with commit, machine, command and time."""
    head = {"benchmark": name, "command": f"make bench NAME={name}", **about()}
    path = HERE / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(head | result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written to bench/results/{name}.json")
