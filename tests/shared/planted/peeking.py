"""Writes down every row that it is given."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from luthier.direct.zero_shot import ZeroShot

extras = ()


@dataclass(frozen=True)
class Peeking(ZeroShot):
    """No options."""

    def adapt(self, ctx):  # type: ignore[no-untyped-def]
        seen = {name: [r.text for r in getattr(ctx.data, name)] for name in ("train", "validation", "test")}
        Path(os.environ["PEEKED"]).write_text(json.dumps(seen), encoding="utf-8")
        return super().adapt(ctx)


METHOD = Peeking
