"""The outcome of `regret.py` as Markdown: where it was made, a line a set, what it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regret_rules import CONSTANT, NEAR, Outcome, Regret, mean_over_sets, wilson

HEAD = (
    "set", "rows: train, small test, large test", "advice at b", "score there", "held", "best at 10 b",
    "method regret", "run regret", "processor minutes",
)  # fmt: skip
FEWEST = 4  # sets that a bootstrap over sets is worth printing for
HELD = {"yes": "yes", "no": "no", "noise": "no, by less than the noise"}


def markdown(outcomes: Sequence[Outcome], command: str) -> str:
    """The whole page. command: how it was made."""
    factor = outcomes[0].record["settings"]["truth"]
    head = [cell.replace("10 b", f"{factor} b") for cell in HEAD]
    lines = [
        "# Regret of the recommendation", "",
        *about([o.record for o in outcomes], command), "",
        f"b is {outcomes[0].record['settings']['budget']} a method. Points are of accuracy, of chrF on multi30k. How"
        " each figure is defined: `bench/regret.py`. In brackets 95 % intervals; a regret whose interval reaches down"
        " to 0 (~) cannot be told from none.", "",
        f"| {' | '.join(head)} |", "|" + "---|" * len(head),
        *(f"| {' | '.join(line(o))} |" for o in outcomes), "",
        "\\* the set, or rows of its kind, was looked at while defaults were chosen.", "",
        *summary(outcomes),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def about(records: Sequence[Mapping[str, Any]], command: str) -> list[str]:
    """Command, commit, versions and machine; several where sets were finished at different states."""

    def each(*keys: str) -> str:
        found = []
        for record in records:
            value: Any = record
            for key in keys:
                value = value[key]
            text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
            found += [text] if text not in found else []
        return "; ".join(found)

    return [
        f"- command: `{command}`",
        f"- commit: {each('commit')}; {each('date')}",
        f"- versions: {each('versions')}",
        f"- machine: {each('machine')}",
        f"- model: {each('large', 'model')}; methods: {each('settings', 'methods')}; one seed",
    ]


def line(o: Outcome) -> list[str]:
    """The cells of a set."""
    record, points = o.record, o.record["points"]
    size, large = record["rows"], record["large"]
    win = large.get("winner") or {}
    best = f"{o.best} {points * win['score']:.1f} ({points * win['corrected']:.1f})" if win else "–"
    return [
        record["set"] + ("\\*" if record["known"] else ""),
        ", ".join(str(size[part]) for part in ("train", "few", "truth")),
        advice(o),
        scored(o),
        HELD[o.held.kind] if o.held else "–",
        best,
        told(o.method),
        told(o.run),
        f"{sum((record[size].get('spent') or {}).get('cpu') or 0.0 for size in ('small', 'large')) / 60:.0f}",
    ]


def advice(o: Outcome) -> str:
    """What the small board recommends, with the winner's corrected interval."""
    win, points = o.record["small"].get("winner"), o.record["points"]
    if not win:
        return "nothing finished"
    low, high = (points * end for end in win["ci95"])
    name = win["name"] if o.followed.advised == "use" else f"none yet (named: {win['name']})"
    return f"{name} {points * win['score']:.1f} [{low:.1f}, {high:.1f}]"


def scored(o: Outcome) -> str:
    """What the winner's run at b has on the large test set."""
    return f"{o.record['points'] * o.held.score:.1f}" if o.held else "–"


def told(found: Regret | None) -> str:
    """A regret with its interval, ~ before one that may be none."""
    if found is None:
        return "–"
    mark = "~ " if found.low <= 0 and found.value > 0 else ""
    return f"{mark}{found.value:.1f} [{found.low:.1f}, {found.high:.1f}]"


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Shares and means over the sets; the last line is the whole in one sentence."""
    lines = []
    groups = (("all sets", outcomes), ("sets that were not looked at", [o for o in outcomes if not o.record["known"]]))
    for title, some in groups:
        for kind in ("method", "run"):
            found = [r for o in some if (r := getattr(o, kind)) is not None]
            if found:
                mean, low, high = mean_over_sets([r.value for r in found])
                apart = f" [{low:.1f}, {high:.1f}]" if len(found) >= FEWEST else ""
                sure = [sum(r.sure == kind for r in found) for kind in ("near", "far")]
                lines.append(
                    f"- {title}, {kind} regret: {share(found)} at most {NEAR:g} point; surely so by its interval on"
                    f" {sure[0]}, surely more on {sure[1]}, open on {len(found) - sum(sure)}; mean {mean:.1f}"
                    f" points{apart}"
                )
    lines += [held_line(outcomes), *none_lines(outcomes), "", last_line(outcomes)]
    return lines


def share(found: Sequence[Regret]) -> str:
    """How many regrets are near zero, with the interval over sets."""
    near = sum(r.value <= NEAR for r in found)
    low, high = wilson(near, len(found))
    return f"{near} of {len(found)} sets ({100 * low:.0f} to {100 * high:.0f} %)"


def held_line(outcomes: Sequence[Outcome]) -> str:
    """How often the winner's interval held, and how often it would if it were exact."""
    found = [o.held for o in outcomes if o.held]
    if not found:
        return "- no winner's interval could be held against the large test set"
    kinds = [h.kind for h in found]
    return (
        f"- the winner's interval held on {kinds.count('yes')} of {len(found)} sets, and was missed by less than the"
        f" large test set's own noise on {kinds.count('noise')}; an exact one would hold on"
        f" {sum(h.expected for h in found):.1f}"
    )


def none_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """Where the advice was to use none yet: what the row that it names would have cost instead."""
    return [
        f"- {o.record['set']}: the advice was to use none yet, and "
        + (f"{_called(o.followed.name)} is what is used then" if o.followed.name else "nothing is left to use")
        + (f"; `{o.followed.named}`, which it names, has a method regret of {told(o.named)}" if o.named else "")
        for o in outcomes
        if o.followed.advised == "none"
    ]


def _called(name: str) -> str:
    return "the constant answer" if name == CONSTANT else f"`{name}`"


def last_line(outcomes: Sequence[Outcome]) -> str:
    """One sentence."""
    methods, runs = ([r for o in outcomes if (r := getattr(o, kind)) is not None] for kind in ("method", "run"))
    held = [o.held.kind for o in outcomes if o.held]
    if not methods:
        return "No set has a regret."
    run = f", its run at the small budget on {share(runs)}" if runs else ""
    factor = outcomes[0].record["settings"]["truth"]
    return (
        f"The recommended method was at most {NEAR:g} point below the best of {factor} times the budget on"
        f" {share(methods)}{run}; the winner's interval held on {held.count('yes')} of {len(held)}."
    )
