"""The histogram of a signal with a threshold that is moved by hand, and the documents just left and right of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from luthier.core.phrases import Phrase
from luthier.reports.page_frame import as_json
from luthier.reports.plain_page import both, text, write

if TYPE_CHECKING:
    from luthier.corpus.tune import Valued

SCRIPT = Path(__file__).parent / "assets" / "tune.js"
BINS, EXAMPLES, LONG = 60, 400, 600
LEFT, RIGHT = both("below the threshold", "低于阈值"), both("at the threshold and above", "达到或高于阈值")
THRESHOLD = both("threshold", "阈值")
NO_SCRIPT = both("the threshold is moved by a script", "移动阈值需要脚本")


def write_page(path: Path, name: Phrase, about: Phrase, seen: Sequence[Valued], threshold: float | None = None) -> Path:
    """Write the page of at least one document. threshold: where it begins, the median unless given. Raises OSError."""
    ordered = sorted(seen, key=lambda one: one.value)
    values = [one.value for one in ordered]
    low, high = values[0], values[-1]
    start = values[len(values) // 2] if threshold is None else threshold
    step = max(len(ordered) // EXAMPLES, 1)
    data = {
        "values": values, "low": low, "high": high, "threshold": start,
        "examples": [{"value": o.value, "path": o.path, "text": o.text[:LONG]} for o in ordered[::step]],
    }  # fmt: skip
    ticks = f'min="{low:.10g}" max="{max(high, low + 1e-9):.10g}" step="any"'
    body = f"""<p>{text(about)}</p>
{histogram(values)}
<p><label for="threshold">{text(THRESHOLD)}</label>
<input id="threshold" type="range" {ticks} value="{start:.10g}" style="width:100%">
<label for="exact">{text(THRESHOLD)}</label> <input id="exact" type="number" step="any" value="{start:.10g}"></p>
<noscript>{text(NO_SCRIPT)}</noscript>
<h2>{text(LEFT)}: <span id="left-share"></span></h2><div id="left"></div>
<h2>{text(RIGHT)}: <span id="right-share"></span></h2><div id="right"></div>
<script type="application/json" id="tune-data">{as_json(data)}</script>"""
    write(path, name, name, body, script=SCRIPT.read_text(encoding="utf-8"), wide=True)
    return path


def histogram(values: Sequence[float]) -> str:
    """Bars of how many documents have which value, with the line of the threshold."""
    low, high = min(values), max(values)
    counts = [0] * BINS
    for value in values:
        counts[min(int((value - low) / (high - low) * BINS), BINS - 1) if high > low else 0] += 1
    most = max(counts)
    bars = "".join(
        f'<rect x="{100 * at / BINS:.3f}%" y="{100 - 96 * count / most:.2f}%" width="{96 / BINS:.3f}%" '
        f'height="{96 * count / most:.2f}%" fill="currentColor" opacity=".45"></rect>'
        for at, count in enumerate(counts)
        if count
    )
    return (
        f'<figure><svg role="img" aria-label="{low:.4g} – {high:.4g}" width="100%" height="180">{bars}'
        '<line id="line" y1="0" y2="100%" stroke="currentColor" stroke-width="2"></line></svg>'
        f"<figcaption>{low:.4g} – {high:.4g}</figcaption></figure>"
    )
