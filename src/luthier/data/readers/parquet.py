"""Parquet, by pyarrow."""

from luthier.data.columnar import read_parquet as read

__all__ = ["ENDINGS", "read"]
ENDINGS = (".parquet",)
PACKED = True  # compressed as it is: no .gz around it
