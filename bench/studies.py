"""Studies as they come, `luthier study NAME`, and what they said: sinks (four minutes), architecture (an hour).

    python bench/studies.py sinks
    python bench/studies.py architecture --budget 60m

Written is what the terminal shows; other options are those of the command.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import measure
import peer


def main() -> None:
    """Run one; print and write what it said."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=("sinks", "architecture"))
    given, more = parser.parse_known_args()
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="study-") as work:
        out = peer.luthier("study", given.name, *more, "--out", str(Path(work) / "study"))
    said = [line.rstrip() for line in out.splitlines() if line.strip() and not line.startswith("Report")]
    print("\n".join(said))
    peer.save(f"study_{given.name}", {
        "command": " ".join(["python bench/studies.py", given.name, *more]), "seconds": time.perf_counter() - begin,
        "said": said, "versions": measure.versions("luthier", "torch", "transformers"),
    })  # fmt: skip


if __name__ == "__main__":
    main()
