"""CSV as spreadsheets and people write it."""

from luthier.data.tables import read_csv as read

__all__ = ["ENDINGS", "read"]
ENDINGS = (".csv",)
