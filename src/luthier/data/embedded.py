"""The data inside the package: sets of rows by name, documents to ask about, and a page of general text.

All of it was written one by one for this project, but for the sums of `arithmetic`. A set NAME is the file
`embedded/NAME.yaml`, which says what it is, in which files its rows are and how they are read; nothing is registered
anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path
from types import MappingProxyType

from luthier.core.records import Text
from luthier.data.read import Table, read, report_bad

_FOLDER = Path(__file__).parent / "embedded"
_NOTHING: Mapping[str, str] = MappingProxyType({})
GENERAL: tuple[Path, ...] = (_FOLDER / "general_en.txt", _FOLDER / "general_zh.txt")


@dataclass(frozen=True)
class EmbeddedSet:
    """about: what it is. files: of rows. map, instruction: as the options of that name. metric: the score that fits.

    documents: a folder of the texts that its questions are about. test: the set that is held out for it.
    """

    name: str
    about: str
    files: tuple[str, ...]
    map: Mapping[str, str] = field(default_factory=dict)
    instruction: str | None = None
    metric: str = ""
    documents: str = ""
    test: str = ""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of its rows."""
        return tuple(_FOLDER / name for name in self.files)

    def table(
        self,
        columns: Mapping[str, str] = _NOTHING,
        labels: Mapping[str, str] = _NOTHING,
        instruction: str | None = None,
    ) -> Table:
        """Its rows, those of several files in turn; what is given wins over what the set says.

        `Table.path` is the one file, or the folder of several; `lines` count within each file.
        """
        columns, instruction = columns or self.map, self.instruction if instruction is None else instruction
        tables = [read(path, columns=columns, labels=labels, instruction=instruction) for path in self.paths]
        for table in tables:
            report_bad(table, skip_bad=False, rejected=None)
        turns = zip_longest(*(zip(table.records, table.lines, strict=True) for table in tables))
        rows = [row for row in chain.from_iterable(turns) if row is not None]
        path = self.paths[0] if len(tables) == 1 else _FOLDER
        records, lines = tuple(record for record, _ in rows), tuple(line for _, line in rows)
        return Table(tables[0].task, records, lines, (), path, layout=tables[0].layout)

    def texts(self) -> tuple[Text, ...]:
        """Its documents, each with its file's name as the source."""
        if not self.documents:
            return ()
        files = sorted((_FOLDER / self.documents).glob("*.md"))
        return tuple(Text(path.read_text(encoding="utf-8"), path.name) for path in files)


def names() -> tuple[str, ...]:
    """The names of all sets, the demonstration first."""
    return tuple(sorted((path.stem for path in _FOLDER.glob("*.yaml")), key=lambda name: (name != "tickets", name)))


def find(name: str) -> EmbeddedSet | None:
    """The set of that name, if there is one."""
    path = _FOLDER / f"{name}.yaml"
    if name not in names():
        return None
    import yaml

    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    return EmbeddedSet(name, **{**values, "files": tuple(values["files"])})


def tickets() -> Table:
    """The demonstration task: messages and what each is about."""
    found = find("tickets")
    assert found is not None
    return found.table()


def general_text() -> str:
    """The English and the Chinese page, one after the other."""
    return "\n\n".join(path.read_text(encoding="utf-8").strip() for path in GENERAL) + "\n"
