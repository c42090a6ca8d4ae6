"""Stages by themselves: what each drops, cuts and masks."""

from __future__ import annotations

import random
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pytest.importorskip("numba")
from luthier.core.errors import LuthierError  # noqa: E402
from luthier.corpus import documents  # noqa: E402
from luthier.corpus.kernels import minhash  # noqa: E402
from luthier.corpus.outcome import Outcome  # noqa: E402
from luthier.corpus.pool import Here  # noqa: E402
from luthier.corpus.recipe import Pipeline, run_pipeline, stage_of  # noqa: E402
from luthier.corpus.stage import Known, Looking  # noqa: E402
from luthier.corpus.stages.near import Near, best, connected  # noqa: E402

WORDS = [f"word{n}" for n in range(400)]


def table(texts: list[str], language: str = "en") -> Any:
    rows = [{"text": text, "id": str(at), "language": language} for at, text in enumerate(texts)]
    return documents.table_of(rows)


def apply(stage: Any, *tables: Any) -> list[Outcome]:
    made = stage_of(stage)
    looked = [made.look(t) for t in tables] if isinstance(made, Looking) else [{} for _ in tables]
    gathered = made.gather(looked) if isinstance(made, Looking) else {}
    return [made.apply(t, Known(at, looked[at], gathered)) for at, t in enumerate(tables)]


def texts_of(outcome: Outcome) -> list[str]:
    return list(outcome.kept["text"].to_pylist())


# -- keywords --------------------------------------------------------------------------------------------------------


def test_lines_with_keywords_are_cut_and_nothing_else() -> None:
    given = ["one\nsee https://a.example now\ntwo\n", "clean\n", "https://only.example", "我的 www.a.example 页面"]
    (found,) = apply({"keywords": {"lists": ["links"], "whole": False}}, table(given))
    assert texts_of(found) == ["one\ntwo", "clean\n"]
    assert found.dropped["reason"].to_pylist() == ["keywords"] * 2 and found.cut is not None
    assert found.cut["before"].to_pylist() == given[:1] and found.cut["after"].to_pylist() == ["one\ntwo"]


def test_masked_words_keep_their_length() -> None:
    (found,) = apply(
        {"keywords": {"words": ["secret", "秘密"], "do": "mask"}}, table(["A Secret, secretly", "这是秘密吗"])
    )
    assert texts_of(found) == ["A ██████, secretly", "这是██吗"]


def test_documents_with_too_many_are_dropped() -> None:
    (found,) = apply({"keywords": {"words": ["a", "b"], "do": "drop", "most": 1}}, table(["a", "a b", "", "bab"]))
    assert texts_of(found) == ["a", "", "bab"] and found.dropped["detail"].to_pylist() == ["a"]


@pytest.mark.parametrize(
    ("options", "said"),
    [({}, "no words"), ({"lists": "nothing.txt"}, "neither a file nor one of html, links, profanity"),
     ({"words": ["a"], "do": "burn"}, "do")],
)  # fmt: skip
def test_what_is_wrong_with_keywords(options: Any, said: str) -> None:
    with pytest.raises(LuthierError, match=said):
        stage_of({"keywords": options})


# -- duplicates ------------------------------------------------------------------------------------------------------


def text(seed: int, words: int = 120) -> list[str]:
    own = random.Random(seed)
    return [own.choice(WORDS) for _ in range(words)]


def changed(words: list[str], share: float, seed: int) -> list[str]:
    own = random.Random(seed)
    return [own.choice(WORDS) if own.random() < share else word for word in words]


def jaccard(one: list[str], other: list[str], n: int) -> float:
    a, b = ({tuple(w[i : i + n]) for i in range(len(w) - n + 1)} for w in (one, other))
    return len(a & b) / len(a | b)


def test_signatures_estimate_jaccard_similarity() -> None:
    stage = Near(hashes=1000, bands=10)
    for share in (0.0, 0.01, 0.05, 0.2, 1.0):
        one = text(1)
        other = changed(one, share, 2)
        found = stage.look(table([" ".join(one), " ".join(other)]))["signatures"]
        equal = float((found[0] == found[1]).mean())
        want = jaccard(one, other, 5)
        assert abs(equal - want) < 4 * (want * (1 - want) / 1000) ** 0.5 + 1e-9, share


def test_found_pairs_are_those_that_bands_find_by_brute_force() -> None:
    """Every pair with an equal band is joined, whatever the order, and no other."""
    texts = [" ".join(changed(text(k // 4), 0.02 * (k % 4), k)) for k in range(60)]
    stage = Near()
    found = stage.look(table(texts))["signatures"]
    keys = minhash.bands(found, 8)
    group = list(range(60))
    for i in range(60):
        for j in range(i):
            if any((found[i, b * 8 : b * 8 + 8] == found[j, b * 8 : b * 8 + 8]).all() for b in range(14)):
                group = [group[j] if g == group[i] else g for g in group]
    got = connected(keys, np.zeros(60, np.bool_))
    assert [[a == b for b in got] for a in got] == [[a == b for b in group] for a in group]
    assert len(set(group)) < 60


def test_one_character_in_chinese_and_case_and_marks_change_little() -> None:
    own = random.Random(3)
    chinese = "".join(
        own.choice("的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会") for _ in range(300)
    )
    english = " ".join(text(5))
    loud = english.upper().replace(" ", ", ") + "!"
    given = [chinese, chinese[:150] + "山" + chinese[151:], english, loud, "", "...", ""]
    (found,) = apply("near", table(given))
    assert found.kept["id"].to_pylist() == ["0", "2", "4", "5", "6"], (
        "of equals the first; empty ones are alike in nothing"
    )


def test_the_best_of_a_group_stays_wherever_it_stands() -> None:
    words = text(7)
    short, long = " ".join(words[:-3]), " ".join([*words, "and", "more", "of", "it"])
    one, two = apply("near", table([short, "other words entirely"]), table([long]))
    assert texts_of(one) == ["other words entirely"] and texts_of(two) == [long]
    assert one.dropped["detail"].to_pylist() == ["nearly the same as row 0 of 00001"]
    assert best(np.array([0, 1, 0, 1], np.int32), np.array([5, 2, 5, 3])).tolist() == [0, 3, 0, 3]


def test_what_an_earlier_run_kept_stays_and_what_is_like_it_goes(tmp_path: Path) -> None:
    words = text(11)
    old = [" ".join(words[:-5]), "something else of the first crawl"]
    bar = lambda title: nullcontext(lambda done, of: None)  # noqa: E731
    for name, texts in (("old", old), ("new", [" ".join([*words, "and", "more"]), "something of the second crawl"])):
        documents.write(table(texts), tmp_path / f"{name}.parquet")
    near = {"near": {"against": [str(tmp_path / "first")]}}
    with pytest.raises(LuthierError, match="holds no signatures: name a run whose recipe has `near` once"):
        run_pipeline(Pipeline((tmp_path / "new.parquet",), (stage_of(near),)), tmp_path / "second", Here(1), bar)
    run_pipeline(Pipeline((tmp_path / "old.parquet",), (stage_of("near"),)), tmp_path / "first", Here(1), bar)
    told = run_pipeline(Pipeline((tmp_path / "new.parquet",), (stage_of(near),)), tmp_path / "second", Here(1), bar)
    assert told[-1]["reasons"] == {"near_duplicate": 1} and told[-1]["kept"] == 1
    (dropped,) = [documents.read(p) for p in (tmp_path / "second" / "dropped").glob("*near*")]
    assert dropped["detail"].to_pylist() == ["kept by an earlier run"]
    other = {"near": {"bands": 16, "against": [str(tmp_path / "first")]}}
    with pytest.raises(
        LuthierError, match=r"was made with hashes 112, bands 14, .*, this one with hashes 112, bands 16"
    ):
        run_pipeline(Pipeline((tmp_path / "new.parquet",), (stage_of(other),)), tmp_path / "third", Here(1), bar)


def test_exact_duplicates_across_shards() -> None:
    one, two = apply("exact", table(["a", "b", "a"]), table(["b", "c", ""]))
    assert texts_of(one) == ["a", "b"] and texts_of(two) == ["c", ""]
    assert two.dropped["detail"].to_pylist() == ["the same as row 1 of 00000"]


# -- repetition within a text, perplexity ----------------------------------------------------------------------------


def test_sentences_full_of_repetition_and_paragraphs_that_stand_before() -> None:
    good = "The ferry leaves at nine from the northern pier every working day of the year."
    other = "In winter it waits for the train, which is often late when there is ice on the line."
    spam = "Buy now buy now buy now buy now buy now buy now."
    chinese = "我们明天早上九点从北面的码头出发去岛上看朋友。"
    given = [f"{good} {spam}\n\n{other}\n\n{good}", "好好好好好好好好好好。" + chinese]
    (found,) = apply({"filter": {"rules": "within"}}, table(given))
    assert [" ".join(t.split()) for t in texts_of(found)] == [f"{good} {other}", chinese]


def test_perplexity_cuts_both_ends_of_each_language(tmp_path: Path) -> None:
    own = random.Random(0)
    usual = ["the cat sat on the mat", "the dog sat on the mat", "the cat and the dog sat"]
    (tmp_path / "r.txt").write_text(" ".join(own.choice(usual) for _ in range(200)))
    given = ["the cat sat on the mat", "mat cat on the the sat", *(own.choice(usual) + " and sat" for _ in range(8))]
    (found,) = apply({"perplexity": {"reference": str(tmp_path / "r.txt"), "least": 5, "most": 95}}, table(given))
    assert dict(zip(found.dropped["id"].to_pylist(), found.dropped["reason"].to_pylist(), strict=True)) == {
        "0": "too_likely", "1": "too_unlikely"}  # fmt: skip


def test_perplexity_by_a_language_model_is_what_transformers_says(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    import tiny
    from luthier.corpus.surprise import of_model

    folder = tiny.save_model("llama_tied", tmp_path / "model")
    model, words = tiny.auto_class("llama_tied").from_pretrained(folder), tiny.tokenizer()
    given = ["the cat sat on the mat", "我们明天出发", ""]
    found = of_model(str(folder))(pa.array(given))
    for text, nats in zip(given[:2], found, strict=False):
        ids = [words.bos_token_id or words.eos_token_id, *words(text, add_special_tokens=False)["input_ids"]]
        with torch.no_grad():
            said = model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        assert nats == pytest.approx(-float(said[range(len(ids) - 1), ids[1:]].mean()), rel=1e-4)
    assert found[2] == 0
    with pytest.raises(LuthierError, match="give `reference`, a text as it should be, or `model`"):
        stage_of({"perplexity": {"reference": "x", "model": "embedded"}})


def test_quality_learned_from_two_folders(tmp_path: Path) -> None:
    own = random.Random(1)
    good = [f"The study found that {own.choice(WORDS)} rises with {own.choice(WORDS)} over time." for _ in range(60)]
    bad = [f"Click here to win {own.choice(WORDS)} and buy {own.choice(WORDS)} cheap!!!" for _ in range(60)]
    for name, texts in (("good", good), ("bad", bad)):
        documents.write(table(texts), tmp_path / f"{name}.parquet")
    stage = {"quality": {"good": f"{tmp_path}/good.parquet", "bad": f"{tmp_path}/bad.parquet"}}
    (found,) = apply(stage, table(["The study found rises over time.", "Click here to win and buy cheap", ""]))
    assert found.kept["id"].to_pylist()[:1] == ["0"] and "1" in found.dropped["id"].to_pylist()
    documents.write(table(good[:40]), tmp_path / "one.parquet")
    documents.write(table(good[20:]), tmp_path / "two.parquet")
    with pytest.raises(LuthierError, match=r"told apart .* % of the time on examples that were held out"):
        apply({"quality": {"good": f"{tmp_path}/one.parquet", "bad": f"{tmp_path}/two.parquet"}}, table(["x"]))
    documents.write(table(good[:3]), tmp_path / "few.parquet")
    with pytest.raises(LuthierError, match="3 examples; a classifier needs 20 of each kind"):
        apply({"quality": {"good": f"{tmp_path}/few.parquet", "bad": f"{tmp_path}/bad.parquet"}}, table(["x"]))


def test_code_has_rules_of_its_own_and_no_language() -> None:
    good = "def area(width, height):\n    return width * height\n\n\nprint(area(3, 4))\n"
    rows = [good, f"# Auto-generated file, do not edit\n{good}", "x=[" + "1," * 2000 + "]", "==== //// ====\n" * 9]
    given = documents.table_of({"text": row, "id": str(at), "kind": "code:Python"} for at, row in enumerate(rows))
    (found,) = apply({"language": {"keep": ["zh"]}}, given)
    assert found.kept.num_rows == 4 and set(found.kept["language"].to_pylist()) == {""}
    (found,) = apply("filter", found.kept)
    assert texts_of(found) == [good]
    assert found.dropped["reason"].to_pylist() == ["generated", "mean_line_length", "alphanumeric"]


# -- passages that come again ------------------------------------------------------------------------------------------


def brute_force(texts: list[str], n: int) -> list[str]:
    """Words of each text that lie in no run of n words which stands before it, found by comparing every run."""
    seen: set[tuple[str, ...]] = set()
    out = []
    for text in texts:
        words = text.split()
        gone = [False] * len(words)
        for at in range(len(words) - n + 1):
            run = tuple(words[at : at + n])
            if run in seen:
                gone[at : at + n] = [True] * n
            seen.add(run)
        out.append(" ".join(word for word, cut in zip(words, gone, strict=True) if not cut))
    return [text for text in out if text]


@pytest.mark.parametrize("shards", [1, 3])
def test_passages_that_stand_before_are_cut_as_brute_force_cuts_them(shards: int) -> None:
    chance = random.Random(shards)
    texts = [" ".join(chance.choice("abc") for _ in range(chance.randrange(120))) for _ in range(90)]
    size = len(texts) // shards
    tables = [table(texts[at : at + size]) for at in range(0, len(texts), size)]
    found = apply({"substrings": {"words": 9}}, *tables)
    cut = [text for one in found for text in texts_of(one)]
    assert [text for text in cut if text] == brute_force(texts, 9) != [text for text in texts if text]
    for one, given in zip(found, tables, strict=True):
        assert one.kept.num_rows + one.dropped.num_rows == given.num_rows


def test_a_passage_within_two_texts_stays_in_the_first_and_its_neighbours_everywhere() -> None:
    passage = " ".join(WORDS[:60])
    first, second = f"Before, {passage}. After", f"Other “{passage}” words"
    chinese = "".join(chr(0x4E00 + 7 * at) for at in range(60))
    third = f"甲，{chinese}。"
    (found,) = apply("substrings", table([first, second, third, f"乙，{chinese}。丙"]))
    assert texts_of(found) == [first, "Other “words", third, "乙，丙"]
    assert set(found.cut["reason"].to_pylist()) == {"repeated_passage"}  # type: ignore[index]
    (found,) = apply("substrings", table([first, f"“{passage}.”"]))  # no mark is left of a copy
    assert texts_of(found) == [first] and found.dropped["reason"].to_pylist() == ["repeated_passage"]


def test_a_text_of_which_rules_cut_all_is_dropped_for_that() -> None:
    rules = [{"name": "menu", "at": "line", "signal": "words", "least": 3, "do": "cut"}]
    (found,) = apply({"filter": {"rules": rules}}, table(["Home\nAbout", "All of this stays\nAbout", ""]))
    assert texts_of(found) == ["All of this stays", ""] and found.dropped["reason"].to_pylist() == ["menu"]
