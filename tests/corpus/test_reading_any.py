"""No bytes bring a reader down: any file, any markup, markup without end."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pa = pytest.importorskip("pyarrow")
pytest.importorskip("resiliparse")
pytest.importorskip("fastwarc")
from files_read import CHANGE, MARKS, SAMPLES, TEX_MARKS, made_of  # noqa: E402
from luthier.corpus import reading  # noqa: E402
from luthier.corpus.reading import Bad, Row, Source, rows_of, tex, wikitext  # noqa: E402


@given(st.sampled_from(sorted(SAMPLES)), st.binary(max_size=200), st.lists(CHANGE, max_size=4))
@settings(deadline=None, max_examples=400)
def test_no_bytes_bring_a_reader_down(
    tmp_path_factory: pytest.TempPathFactory, name: str, other: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    data = bytearray(SAMPLES[name] if changes else other)
    for at, cut, more in changes:
        data[at % (len(data) + 1) : at % (len(data) + 1) + cut] = more
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    for found in rows_of(Source(path, name)):
        assert isinstance(found, Row | Bad)
        "".join(map(str, found.__dict__.values())).encode()  # no half characters


@given(made_of(MARKS), made_of(TEX_MARKS))
@settings(deadline=None, max_examples=400)
def test_any_markup(wiki: str, written: str) -> None:
    text = wikitext.plain(wiki)
    assert len(text) <= 3 * len(wiki) + 9 and "\ue000" not in text
    assert isinstance(tex.body(written, lambda name: written), str) and len(tex.uncommented(written)) <= len(written)


@pytest.mark.parametrize("mark", [*MARKS, "{{}}", "[[a]]", "<ref", "{{lang|x|"])
def test_markup_without_end_is_one_walk(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    token = wikitext._Walk.token

    def counted(self: wikitext._Walk, found: re.Match[str]) -> int:
        nonlocal steps
        steps += 1
        return token(self, found)

    monkeypatch.setattr(wikitext._Walk, "token", counted)
    markup = mark * (100_000 // len(mark))
    assert len(wikitext.plain(markup)) <= 2 * len(markup) and steps <= len(markup)


@pytest.mark.parametrize("mark", [*TEX_MARKS, "\\\\", "{\\a"])
def test_tex_without_end_has_a_bound(mark: str) -> None:
    macros = "\\newcommand{\\a}{\\b\\b\\b}\\newcommand{\\b}{\\c\\c\\c}\\newcommand{\\c}{\\a\\a}\\begin{document}"
    text = macros + mark * (100_000 // len(mark))
    assert len(tex.body(text)) <= tex.SHORT * len(text)


def test_inputs_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {f"f{n}": f"x\\input{{f{n + 1}}}" * 20 for n in range(30)}
    assert len(tex.body("\\begin{document}\\input{f0}", tree.get)) < 200_000
    monkeypatch.setattr(tex, "LARGEST", 1000)
    with pytest.raises(reading.TooLargeError):
        tex.body("\\begin{document}\\input{f0}", tree.get)
