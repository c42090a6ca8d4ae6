"""Raises what nobody foresaw."""

from dataclasses import dataclass

from luthier.direct.zero_shot import ZeroShot

extras = ()


@dataclass(frozen=True)
class Raising(ZeroShot):
    """No options."""

    def adapt(self, ctx):  # type: ignore[no-untyped-def]
        raise ValueError("first line\nsecond line")


METHOD = Raising
