"""A budget as users write it: a time, or tokens."""

from __future__ import annotations

import re

from luthier.core.errors import LuthierError

LARGEST = 1e15  # seconds or tokens: what lies above is a mistake


def parse_budget(text: str) -> tuple[str, float]:
    """("seconds", s) of "90s", "3m", "1.5h", or ("tokens", n) of "20k-tokens", "1M-tokens", "5000-tokens"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)", text.strip())
    if match:
        value = float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]
        kind = "seconds"
    else:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)-?tokens", text.strip())
        if not match:
            raise LuthierError(f"--budget {text}: write a time (90s, 3m, 1h) or tokens (20k-tokens)")
        value = float(match[1]) * {"": 1, "k": 1e3, "M": 1e6}[match[2]]
        kind = "tokens"
    if not 0 < value < LARGEST or (kind == "tokens" and value < 1):
        much = "less than that" if value >= LARGEST else "more than nothing"
        raise LuthierError(f"--budget {text}: must be {much}")
    return kind, value


def parse_total(text: str) -> float:
    """Seconds of "15m"."""
    try:
        kind, value = parse_budget(text)
    except LuthierError as error:
        raise LuthierError(str(error).replace("--budget", "--total").replace("or tokens (20k-tokens)", "")) from None
    if kind != "seconds":
        raise LuthierError(f"--total {text}: write a time, such as 15m; tokens are for --budget")
    return value
