"""XML by its outermost element: a wiki's pages (MediaWiki), questions with answers (Stack Exchange's Posts.xml)."""

from __future__ import annotations

from collections.abc import Iterator

from luthier.corpus.reading import Bad, Row, Source
from luthier.corpus.reading.xml_events import BrokenError, UnsafeError, events

ENDINGS = (".xml",)
KIND = "text"


def read(source: Source) -> Iterator[Row | Bad]:
    from luthier.corpus.reading import mediawiki, stackexchange

    kinds = {"mediawiki": mediawiki.pages, "posts": stackexchange.threads}
    with source.open() as file:
        found = events(file)
        try:
            top = next(found)
            if top.name in kinds:
                some = False
                for each in kinds[top.name](top, found):
                    some = True
                    yield each
                if not some:
                    yield Bad("empty", f"nothing in <{top.name}>")
            else:
                yield Bad("unknown_xml", f"<{top.name[:80]}> is neither {' nor '.join(f'<{name}>' for name in kinds)}")
        except BrokenError as error:
            yield Bad("broken_file", str(error))
        except UnsafeError as error:
            yield Bad("unsafe_xml", str(error))
