"""Takes its time."""

import time
from dataclasses import dataclass

from luthier.direct.zero_shot import ZeroShot

extras = ()


@dataclass(frozen=True)
class Sleeper(ZeroShot):
    """No options."""

    def adapt(self, ctx):  # type: ignore[no-untyped-def]
        time.sleep(120)


METHOD = Sleeper
