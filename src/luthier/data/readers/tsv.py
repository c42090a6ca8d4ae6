"""Cells between tabs."""

from luthier.data.tables import read_tsv as read

__all__ = ["ENDINGS", "read"]
ENDINGS = (".tsv",)
