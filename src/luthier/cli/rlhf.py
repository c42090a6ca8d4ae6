"""`luthier rlhf`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

HELP = """From imitation over a reward model to a policy that learned from it, in one folder with a report.

RECIPE names stages, each a recipe of its own without model and data, and a judge who learns from pairs that the reward
never saw; a.b=c on the command line comes on top. Killed, it goes on when the same command is given again.

People can compare the stages as well: DIR/questions.jsonl is for `luthier label new`; with the exported labels given by
--labels, the report tells whom they prefer.

Example: luthier rlhf recipes/replies.yaml --out replies
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("rlhf", help=HELP)(rlhf)


def rlhf(
    settings: Annotated[list[str], typer.Argument(help="recipe.yaml and key=value settings")],
    out: Annotated[Path, typer.Option(help="the folder of the stages and the report")] = Path("runs/rlhf"),
    labels: Annotated[Path | None, typer.Option(help="exported labels of its questions.jsonl")] = None,
) -> None:
    """Run the stages, say what each gained."""
    from luthier.cli.common import resumable, training_bar
    from luthier.core.errors import LuthierError
    from luthier.reports.rlhf_page import write_page
    from luthier.reports.rollouts_page import write_page as write_rollouts
    from luthier.rlhf.people import add_wins
    from luthier.rlhf.pipeline import read_pipeline
    from luthier.rlhf.stages import run, write_report

    files = [s for s in settings if "=" not in s]
    if len(files) != 1:
        raise LuthierError(f"one recipe, such as recipes/replies.yaml, not {', '.join(files) or 'none'}")
    if labels and not labels.is_file():  # said before hours of stages
        raise LuthierError(f"--labels {labels}: there is no such file: `luthier label export` writes it")
    pipeline = read_pipeline(Path(files[0]), [s for s in settings if "=" in s])
    with resumable():
        found: Any = run(pipeline, out, training_bar, lambda note: print(f"  {note}"))
        if labels:
            add_wins(found, out, labels)
            write_report(out, found)
    for line in told(found):
        print(line)
    for stage in found["stages"]:
        write_rollouts(out / "stages" / stage["name"])
    print(f"Report: {write_page(out, found)}")


def told(report: dict[str, Any]) -> list[str]:
    """What came of it, in lines."""
    from luthier.reports.rlhf_page import audited, preferred

    lines = [f"{report['prompts']} held-out prompts, {report['answers']} answers each"]
    for stage in [*report["stages"], report["judge"]]:
        if "accuracy" in stage:
            error = stage["accuracy_se"] or 0.0
            lines.append(
                f"{stage['name']}: {100 * stage['accuracy']:.1f} ± {196 * error:.1f} % of held-out pairs told right"
            )
        elif "gain" in stage:
            lines.append(
                f"{stage['name']}: gain {stage['gain']:+.3f} ± {1.96 * stage['gain_se']:.3f} on {stage['before']} "
                f"({stage['gain_without_length']:+.3f} without length), wins {100 * stage['win_rate']:.1f} %, "
                f"KL {stage['kl']:.2f} nats an answer, {stage['length']:.0f} tokens"
            )
            lines += [str(line) for line in (audited(stage), preferred(stage)) if line]
    return lines
