"""Whether a comparison that has begun is given the same rows and models as then."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from luthier.comparison.plan import Plan, Request, read_plan
from luthier.comparison.trial_list import plan_folder
from luthier.core.errors import LuthierError
from luthier.models.endpoint.remote import is_endpoint
from luthier.runs.inputs import EARLIER, changed, data_key, model_parts, named, of_model, refuse_changed, tell

if TYPE_CHECKING:
    from luthier.core.split import Split


def check_same(request: Request, folder: Path, split: Split | None) -> None:
    """Refuse other rows (if they are there) or models than the plans were made for; say what cannot be checked."""
    plans = {model: read_plan(plan_folder(folder, request, model)) for model in request.models}
    found: list[str] = []
    for model, plan in plans.items():
        if plan is None:
            continue
        if not plan.parts and not is_endpoint(model):
            tell(folder, EARLIER)
        try:
            found += differences(plan, model, split)
        except LuthierError as error:  # the model is gone: what stands finished stands
            tell(folder, str(error))
    refuse_changed(folder, list(dict.fromkeys(found)))


def differences(plan: Plan, model: str, split: Split | None) -> list[str]:
    """What has changed since the plan was made. Raises LuthierError where the model is not there."""
    rows = split is not None and data_key(split) != plan.data_key
    now = of_model(model, model_parts(model)) if plan.parts else {}
    judges = judging(plan.request) if plan.judging else {}
    return [*(["data"] if rows else []), *changed(of_model(model, plan.parts), now), *changed(plan.judging, judges)]


def judging(request: Request) -> dict[str, str]:
    """Fingerprints of what gives answers a number."""
    return named([("reward", request.reward), ("judge", request.judge)])
