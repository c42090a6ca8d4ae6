"""JSON: one array of objects, alone or as the one list of an object."""

from luthier.data.jsonfiles import read_whole as read

__all__ = ["ENDINGS", "read"]
ENDINGS = (".json",)
