"""JSON Lines: one object a line."""

from luthier.data.jsonfiles import read_lines as read

__all__ = ["ENDINGS", "read"]
ENDINGS = (".jsonl", ".ndjson")
