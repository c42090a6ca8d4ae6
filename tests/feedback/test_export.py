"""Labels to rows and back: each kind, each form, ties and neithers, the majority; and how far annotators agree."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelling import project
from luthier.core.errors import LuthierError
from luthier.feedback import assigning, labelling
from luthier.feedback.agreement import agreement
from luthier.feedback.export import Counts, Label, export, labels_of
from luthier.feedback.kinds import KINDS, dense, kind_of
from luthier.feedback.questions import Question, read_questions
from luthier.feedback.store import Store

Q = [Question("one", ("a", "b"), ("x", "y")), Question([{"role": "user", "content": "二"}], ("甲", "乙", "丙"))]


def labelled(folder: Path, kind: str, questions: list[Question], said: Mapping[str, Mapping[int, Any]]) -> Path:
    """A project with these labels, given in the questions' own order; None is a skip, a judge's name is a machine's."""
    store = Store(project(folder, questions, kind, shared=range(1, len(questions) + 1)))
    with store.writing() as db:
        for name, labels in said.items():
            judge = name.startswith("judge")
            annotator = assigning.machine(db, name) if judge else assigning.enter(db, name)[0]
            for number, value in labels.items():
                labelling.keep(db, annotator, number, secrets.token_hex(8), value, [0, 1])
    store.close()
    return folder


def exported(folder: Path, **how: Any) -> tuple[list[dict[str, Any]], Counts]:
    out = folder / "out.jsonl"
    counts = export(folder, out, **how)
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()], counts


FIRST, SECOND, TIE = {"ranks": [1, 2]}, {"ranks": [2, 1]}, {"ranks": [1, 1]}
NEITHER = TIE | {"verdict": "neither"}


def test_pairs(tmp_path: Path) -> None:
    """Each annotator's label is a row; ties and neithers are rows; skips are counted, a machine's are marked."""
    questions = [Question(f"q{n}", ("a", "b"), ("x", "y")) for n in range(4)]
    folder = labelled(tmp_path / "p", "pair", questions, {
        "Anna": {1: FIRST, 2: SECOND, 3: TIE, 4: NEITHER}, "Bert": {1: SECOND, 2: None}, "judge m": {3: FIRST},
    })  # fmt: skip
    rows, counts = exported(folder)
    good = {"chosen": "a", "rejected": "b", "chosen_source": "x", "rejected_source": "y"}
    bad = {"chosen": "b", "rejected": "a", "chosen_source": "y", "rejected_source": "x"}
    assert rows == [
        {"prompt": "q0", **good, "annotator": "Anna"},
        {"prompt": "q0", **bad, "annotator": "Bert"},
        {"prompt": "q1", **bad, "annotator": "Anna"},
        {"prompt": "q2", "answers": ["a", "b"], "sources": ["x", "y"], "ranks": [1, 1], "annotator": "Anna"},
        {"prompt": "q2", **good, "annotator": "judge m", "machine": True},
        {"prompt": "q3", "answers": ["a", "b"], "sources": ["x", "y"], "ranks": [1, 1], "verdict": "neither",
         "annotator": "Anna"},
    ]  # fmt: skip
    assert counts.rows == {"pairs": 4, "ties": 1, "neither good": 1}
    assert (counts.labels, counts.machine, counts.annotators, counts.skips) == (6, 1, 3, 1)
    rows, _ = exported(folder, form="ranking")
    assert read_questions(folder / "out.jsonl")[0] == [questions[n] for n in (0, 0, 1, 2, 2, 3)]
    assert rows[1]["ranks"] == [2, 1] and rows[0]["answers"] == ["a", "b"] and rows[-1]["verdict"] == "neither"


def test_the_majority_of_pairs(tmp_path: Path) -> None:
    """More than half; people before models; without a majority a question is left out, and counted."""
    questions = [Question(f"q{n}", ("a", "b")) for n in range(5)]
    folder = labelled(tmp_path / "p", "pair", questions, {
        "Anna": {1: FIRST, 2: FIRST, 3: TIE, 4: SECOND}, "Bert": {1: FIRST, 2: SECOND, 3: NEITHER, 4: SECOND},
        "Cem": {1: SECOND, 3: NEITHER, 4: FIRST}, "judge m": {1: SECOND, 2: FIRST, 4: FIRST, 5: FIRST},
    })  # fmt: skip
    rows, counts = exported(folder, majority=True)
    assert rows == [
        {"prompt": "q0", "chosen": "a", "rejected": "b", "annotators": 3},
        {"prompt": "q2", "answers": ["a", "b"], "ranks": [1, 1], "verdict": "neither", "annotators": 3},
        {"prompt": "q3", "chosen": "b", "rejected": "a", "annotators": 3},
        {"prompt": "q4", "chosen": "a", "rejected": "b", "annotators": 1, "machine": True},
    ]
    assert counts.undecided == 1


def test_rankings(tmp_path: Path) -> None:
    """As they are, as all pairs they imply, and the order of mean ranks."""
    folder = labelled(tmp_path / "p", "ranking", Q, {
        "Anna": {1: FIRST, 2: {"ranks": [2, 1, 2]}}, "Bert": {2: {"ranks": [1, 2, 3]}},
    })  # fmt: skip
    rows, counts = exported(folder)
    assert rows[1] == {"prompt": Q[1].prompt, "answers": ["甲", "乙", "丙"], "ranks": [2, 1, 2], "annotator": "Anna"}
    assert rows[0]["sources"] == ["x", "y"] and counts.rows == {"rankings": 3}
    rows, counts = exported(folder, form="pair")
    found = [(r.get("chosen"), r.get("rejected"), r.get("answers")) for r in rows[1:4]]
    assert found == [("乙", "甲", None), (None, None, ["甲", "丙"]), ("乙", "丙", None)]
    assert counts.rows == {"pairs": 6, "ties": 1}
    rows, _ = exported(folder, majority=True)
    assert rows[1] == {"prompt": Q[1].prompt, "answers": ["甲", "乙", "丙"], "ranks": [1, 1, 2], "annotators": 2}


def test_ratings(tmp_path: Path) -> None:
    folder = labelled(
        tmp_path / "p", "rating", Q, {"Anna": {2: {"scores": [4, 2, 4]}}, "Bert": {2: {"scores": [5, 1, 3]}}}
    )
    rows, counts = exported(folder)
    assert rows[0] == {"prompt": Q[1].prompt, "answers": ["甲", "乙", "丙"], "scores": [4, 2, 4], "annotator": "Anna"}
    assert counts.rows == {"ratings": 2}
    assert exported(folder, majority=True)[0][0]["scores"] == [4.5, 1.5, 3.5]
    assert exported(folder, form="ranking")[0][0]["ranks"] == [1, 2, 1]
    assert [row.get("chosen") for row in exported(folder, form="pair")[0][:3]] == ["甲", None, "丙"]


def test_edits(tmp_path: Path) -> None:
    """As edits, and as pairs: the edited over the original, the better over the others; no majority of texts."""
    folder = labelled(tmp_path / "p", "edit", Q, {
        "Anna": {1: {"better": 1, "edited": "B!"}, 2: {"better": 0, "edited": "甲"}},
    })  # fmt: skip
    rows, counts = exported(folder)
    assert rows == [
        {"prompt": "one", "original": "b", "edited": "B!", "source": "y", "annotator": "Anna"},
        {"prompt": Q[1].prompt, "original": "甲", "edited": "甲", "annotator": "Anna"},
    ]
    assert counts.rows == {"edits": 2}
    rows, _ = exported(folder, form="pair")
    assert [(row["chosen"], row["rejected"]) for row in rows] == [("B!", "b"), ("b", "a"), ("甲", "乙"), ("甲", "丙")]
    with pytest.raises(LuthierError, match="--majority: edits have none"):
        exported(folder, majority=True)


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "p", "pair", Q[:1], {"Anna": {1: None}})
    with pytest.raises(LuthierError, match="has no label yet"):
        exported(folder)
    with pytest.raises(LuthierError, match="labels of a pair project become pair or ranking"):
        exported(folder, form="rating")
    assert not (folder / "out.jsonl").exists()


def said(kind: str, count: int) -> st.SearchStrategy[Any]:
    """What a page may send."""
    numbers = {"ranking": count, "rating": 5}
    if kind in numbers:
        return st.lists(st.integers(1, numbers[kind]), min_size=count, max_size=count)
    if kind == "pair":
        return st.sampled_from(["left", "right", "tie", "neither"])
    text = st.text(min_size=1).filter(str.strip)
    return st.fixed_dictionaries({"better": st.integers(0, count - 1), "edited": text})


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_what_is_shown_again_is_what_was_said(kind: str, data: Any) -> None:
    """In whichever order the answers stand; a ranking comes back without its gaps. Seen failing without `in_order`."""
    count = 2 if kind == "pair" else data.draw(st.integers(2, 9))
    order, given_ = data.draw(st.permutations(range(count))), data.draw(said(kind, count))
    value = kind_of(kind).read(given_, order)
    json.dumps(value)
    back = kind_of(kind).shown(value, order)
    assert back == (dense(given_) if kind == "ranking" else given_)
    assert kind_of(kind).items(value)


@pytest.mark.parametrize(("kind", "wrong"), [
    ("pair", "up"), ("pair", None), ("pair", ["left"]), ("ranking", [1]), ("ranking", [1, 3]), ("ranking", [0, 1]),
    ("ranking", [1, True]), ("ranking", "12"), ("rating", [1, 6]),
    ("rating", [1.5, 2]), ("edit", {"better": 2, "edited": "x"}),
    ("edit", {"better": 0, "edited": "  "}), ("edit", {"better": True, "edited": "x"}), ("edit", {"better": 0}),
    ("edit", "x"), ("edit", {"better": 0, "edited": "x" * 200_001}),
])  # fmt: skip
def test_what_no_page_sends(kind: str, wrong: Any) -> None:
    with pytest.raises(LuthierError):
        kind_of(kind).read(wrong, [0, 1])


def labels(kind: str, **said: list[Any]) -> list[Label]:
    """Labels by annotator; None where one has not labelled that question."""
    return [
        Label(number, name, False, value)
        for name, values in said.items() for number, value in enumerate(values, 1) if value is not None
    ]  # fmt: skip


def test_kappa_by_hand() -> None:
    """50 questions, 20 both first, 15 both second, 5 and 10 apart: 35/50 the same, chance 0.5, so kappa 0.4."""
    anna = [FIRST] * 25 + [SECOND] * 25
    bert = [FIRST] * 20 + [SECOND] * 5 + [FIRST] * 10 + [SECOND] * 15
    found = agreement(kind_of("pair"), labels("pair", anna=anna, bert=bert))
    (pair,) = found.pairs
    assert (pair.one, pair.two, pair.questions, pair.share) == ("anna", "bert", 50, 0.7)
    assert pair.kappa == pytest.approx(0.4) and not pair.few
    # alpha: pooled 55 and 45 of 100; 1 - (30/100) / (2 * 55 * 45 / (100 * 99))
    assert found.alpha == pytest.approx(1 - 0.3 / (2 * 55 * 45 / 9900)) and found.share == 0.7


def test_alpha_by_hand_with_gaps() -> None:
    """Krippendorff's own nominal example (2011): four observers, twelve units, gaps; alpha 0.743."""
    table = {"a": "123321412...", "b": "1233224125.3", "c": ".3332342251.", "d": "12332441251."}
    chosen = {c: {"better": int(c), "edited": "x"} for c in "12345"}
    said = {name: [chosen.get(c) for c in row] for name, row in table.items()}
    found = agreement(kind_of("edit"), labels("edit", **said))
    assert found.alpha == pytest.approx(0.743, abs=0.0005)
    assert found.annotators == 4 and found.questions == 11 and found.few


def test_ratings_have_a_distance() -> None:
    """Two questions, one answer a point apart: alpha by squared distances; kappa sees none."""
    anna, bert = [{"scores": [1, 5]}, {"scores": [2, 4]}], [{"scores": [1, 5]}, {"scores": [2, 5]}]
    found = agreement(kind_of("rating"), labels("rating", anna=anna, bert=bert))
    values = [1, 1, 5, 5, 2, 2, 4, 5]
    pairs = sum((a - b) ** 2 for i, a in enumerate(values) for j, b in enumerate(values) if i != j) / (8 * 7)
    assert found.alpha == pytest.approx(1 - (2 * 1**2 / 8) / pairs) and found.share == 0.75
    (pair,) = found.pairs
    # chance: 1/4 * 1/4 for 1 and for 2, 1/4 * 2/4 for 5, none for 4
    assert pair.questions == 2 and pair.kappa == pytest.approx((0.75 - 0.25) / (1 - 0.25))


def test_where_nothing_can_be_told() -> None:
    """No overlap; one and the same label throughout; a single annotator."""
    alone = agreement(kind_of("pair"), labels("pair", anna=[FIRST, None], bert=[None, FIRST]))
    assert alone.questions == 0 and alone.alpha is None and alone.pairs == ()
    same = agreement(kind_of("pair"), labels("pair", anna=[FIRST] * 3, bert=[FIRST] * 3))
    assert same.share == 1 and same.alpha is None and same.pairs[0].kappa is None and same.few
    assert agreement(kind_of("pair"), labels("pair", anna=[FIRST])).annotators == 1


def test_rankings_are_compared_pair_by_pair(tmp_path: Path) -> None:
    folder = labelled(
        tmp_path / "p", "ranking", Q[1:], {"Anna": {1: {"ranks": [1, 2, 3]}}, "Bert": {1: {"ranks": [1, 3, 2]}}}
    )
    store = Store(folder)
    found = agreement(kind_of("ranking"), labels_of(store))
    store.close()
    assert found.questions == 1 and found.share == pytest.approx(2 / 3)
