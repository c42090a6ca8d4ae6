"""Plain text: a row is a paragraph, or a line of a table."""

from luthier.data.paragraphs import read_txt as read

__all__ = ["ENDINGS", "read"]
ENDINGS = (".txt",)
