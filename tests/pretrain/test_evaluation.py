"""What is measured of a model from text, and texts, tokenizers and budgets that are unlike others."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

pytest.importorskip("pyarrow")
pytest.importorskip("numba")
from luthier.core.errors import LuthierError
from luthier.corpus.tokenizers import training as tokenizers
from luthier.data.stream import Stream
from luthier.models.base import TrainableLM
from luthier.pretrain import prepare, samples
from luthier.pretrain.baselines import bits
from luthier.pretrain.evaluation import MARK, facts
from luthier.pretrain.recipe import Pretraining, recipe_from
from luthier.pretrain.run import run
from stories import story


@contextmanager
def bar(title: str) -> Iterator[Any]:
    yield lambda done, of: None


def recipe(folder: Path, text: str = "", **changes: Any) -> Pretraining:
    """A small model on these words, twelve stories unless given."""
    (folder / "text.txt").write_text(text or "\n".join(story(n, 30) for n in range(12)))
    training = {"tokens": 3000, "batch": 8, **changes.pop("training", {})}
    return recipe_from({
        "text": str(folder / "text.txt"), "tokenizer": {"kind": "bpe", "size": 400}, "dtype": "float32", "threads": 1,
        "shape": {"depth": 1, "context": 64}, "training": training, **changes,
    })  # fmt: skip


class Killed(Exception):  # noqa: N818
    """Stands for a kill."""


def test_all_is_measured_and_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill before the last of it leaves no `eval.json`; the same command then ends with all of it."""
    given, out = recipe(tmp_path), tmp_path / "out"

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(samples, "write", killed)
        run(given, out, bar)
    assert not (out / "eval.json").exists()
    found = run(given, out, bar)
    low, high = found["bits_per_byte_ci95"] or (0.0, 9.0)
    assert low < found["bits_per_byte"] < high
    nats, size = (sum(block[at] for block in found["blocks"]) for at in (1, 2))
    assert nats / size / math.log(2) == pytest.approx(found["bits_per_byte"], rel=0.01)
    assert set(found["choices"]) == {"grammar_en", "words_en", "facts_en", "stories_en"}
    assert found["parameters"] == found["trainable"] and {"byte_5gram", "xz", "heldout_text"} <= found.keys()
    assert (out / "report.html").stat().st_size > 5000
    (out / "report.html").unlink()  # of a command that was killed behind its results
    assert run(given, out, bar) == found and (out / "report.html").exists()
    _greedy_is_transformers(out)


def test_stretches_are_held_against_the_5gram_of_the_same_bytes(tmp_path: Path) -> None:
    """By hand: the bits of each byte added up over what a block has; a block's own bits are beside them."""
    texts = ["".join(f"{n * n} of {at}\n" for n in range(300)) for at in range(9)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    held = "".join(texts).encode()
    each = bits(b"".join(b"%d of them\n" % n for n in range(900)), held)
    marks = [float(each[: at * MARK].sum()) for at in range(-(-len(each) // MARK) + 1)]
    halves = [(len(text) - 100) // 2 for text in texts]  # two blocks a row, behind a hundred bytes that are not told
    blocks = [(row, 100.0 * row, half) for row, half in enumerate(halves) for _ in range(2)]
    known = {"secondary": {"bits_per_byte": 1.0}, "blocks": blocks, "rows": {"test": 9}}
    none = tmp_path / "none"
    made = prepare.Prepared(none, none, none, tmp_path / "rows.jsonl", none)
    told = facts(cast(Any, None), known, made, marks, tmp_path, bar)
    ends = [sum(map(len, texts[: row + 1])) for row in range(9)]
    grams = [each[end - 2 * half : end - half].sum() for end, half in zip(ends, halves, strict=True)]
    grams += [each[end - half : end].sum() for end, half in zip(ends, halves, strict=True)]
    apart = sum(grams) - sum(nats for _, nats, _ in blocks) / math.log(2)
    assert told["below_5gram"][0] == pytest.approx(apart / (2 * sum(halves)), rel=0.01)
    assert told["below_5gram"][1] < told["below_5gram"][0] < told["below_5gram"][2]
    for other, some in (({**known, "rows": {"test": 8}}, marks), (known, [])):
        assert facts(cast(Any, None), other, made, some, tmp_path, bar)["below_5gram"] is None


@pytest.mark.parametrize(("lm", "asked"), [("bert", False), ("t5", True)], indirect=["lm"])
def test_what_a_model_cannot_do_is_said(lm: TrainableLM, asked: bool, tmp_path: Path) -> None:
    """An encoder tells no text's likelihood and writes none; an encoder-decoder reads a beginning and writes on."""
    made = prepare.prepare(recipe(tmp_path), tmp_path / "made")
    found = facts(lm, {"secondary": {}}, made, [], tmp_path, bar)
    assert ("choices" in found) == (tmp_path / "samples.jsonl").exists() == asked and "bits_per_byte" not in found
    assert [str(note).partition(":")[0] for note in found["notes"]] == (
        [] if asked else ["multiple-choice tasks are left out", "continuations are left out"]
    )
    assert found["parameters"] == sum(each.numel() for each in lm.model.parameters())


def _greedy_is_transformers(out: Path) -> None:
    """The likeliest tokens behind a beginning, as the exported model gives them; others differ by their seed."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    lines = [json.loads(line) for line in (out / "samples.jsonl").read_text("utf-8").splitlines()]
    model: Any = AutoModelForCausalLM.from_pretrained(out / "model")
    words: Any = AutoTokenizer.from_pretrained(out / "model")
    held, seen = (out / "text" / "heldout.txt").read_text("utf-8"), set()
    for line in lines:
        assert line["beginning"] in held
        if not line["temperature"]:
            ids = words(line["beginning"], return_tensors="pt")["input_ids"]
            room = model.config.max_position_embeddings - ids.shape[1]
            with torch.no_grad():
                wanted = model.generate(ids, max_new_tokens=min(room, 32), do_sample=False)[0, ids.shape[1] :]
            told = str(words.decode(wanted, skip_special_tokens=True)).strip()
            assert told.startswith(line["continuation"]) or line["continuation"].startswith(told)
            seen.add(line["beginning"])
    assert len(lines) == 3 * len(seen)


@pytest.mark.parametrize(
    ("passages", "want"),
    [
        (["half a word. The cat sat on the mat." + " word" * 60], ["The cat sat on the mat." + " word" * 19]),
        (["a short line of words"], ["a short"]),
        (["床前明月光，疑是地上霜。"], ["床前明月光，"]),
        ([" ", "unbroken"], ["unbr"]),
        ([f"{n}{n}" for n in range(8)], ["0", "2", "4", "6"]),
    ],
)
def test_beginnings_are_whole_words(passages: list[str], want: list[str]) -> None:
    assert samples.beginnings(passages) == want


def test_a_named_tokenizer_ends_documents_by_its_own_token(tmp_path: Path) -> None:
    given = recipe(tmp_path)
    made = prepare.prepare(given, tmp_path / "made")
    learned = tokenizers.train("bpe", [made.documents], 400, ("</s>",))
    tokenizers.save(learned, tmp_path / "words", ("</s>",))
    found = run(recipe(tmp_path, tokenizer=str(tmp_path / "words")), tmp_path / "out", bar)
    end = learned.token_to_id("</s>")
    stream = Stream(tmp_path / "out" / "mix")
    assert stream.tokens.about["end"] == end and stream.tokens[len(stream.tokens) - 1 :].tolist() == [end]
    config = json.loads((tmp_path / "out" / "model" / "config.json").read_text())
    assert config["eos_token_id"] == end and 0 < found["bits_per_byte"] < 8
    (tmp_path / "words" / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(LuthierError, match=r"words: names no token that ends a text \(eos_token\)"):
        run(recipe(tmp_path, tokenizer=str(tmp_path / "words")), tmp_path / "none", bar)


def test_what_rows_cannot_hold_becomes_a_mark(tmp_path: Path) -> None:
    """NUL and halves of pairs; the very bytes that are trained on and scored stay those of the files."""
    texts = [f"a line {n} with \\u0000, \\ud83d alone and \\ud83d\\ude00 whole" for n in range(20)]
    (tmp_path / "odd.jsonl").write_text("".join(f'{{"text": "{text}"}}\n' for text in texts))
    given = replace(recipe(tmp_path), text=(str(tmp_path / "odd.jsonl"),))
    found = run(given, tmp_path / "out", bar)
    train, held = (Path(found[name]).read_text("utf-8") for name in ("train_text", "heldout_text"))
    assert "\0" not in train + held and train.count("😀 whole") == 18 and held.count("�") >= 2
    assert found["rows"]["test"] == 2 and not (tmp_path / "out" / "rejected-test.jsonl").exists()
    assert prepare.written("a\0b\ud83dc\ud83d\ude00") == "a\ufffdb\ufffdc😀"


def test_a_long_document_is_scored_in_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of files are bounded; the text that is scored stays whole."""
    monkeypatch.setattr(prepare, "ROW", 100)
    made = prepare.prepare(recipe(tmp_path), tmp_path / "made")
    rows = [json.loads(line)["text"] for line in made.held_rows.read_text("utf-8").splitlines()]
    assert len(rows) > 3 and all(len(row) <= 100 for row in rows)
    assert "".join(rows) == made.heldout.read_text("utf-8")


def test_a_budget_below_one_step_says_what_a_step_takes(tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match=r"the budget of 300 tokens does not hold one step \(about 512 tokens\)"):
        run(recipe(tmp_path, training={"tokens": 300}), tmp_path / "out", bar)


def test_of_a_mix_only_its_text_is_written(tmp_path: Path) -> None:
    first = tmp_path / "first"
    made = prepare.prepare(recipe(tmp_path), first)
    tokenizer = prepare.tokenizer_of(recipe(tmp_path), made, first)
    stream = prepare.stream_of(recipe(tmp_path), made, tokenizer, first, bar)
    again = prepare.prepare(
        recipe_from({"stream": str(stream), "heldout": str(made.heldout)}), tmp_path / "second"
    )  # fmt: skip
    assert again.train.read_bytes() == made.train.read_bytes() and not again.documents.exists()
