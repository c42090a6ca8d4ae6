"""Inspection: every planted fault is found in every format, the numbers are those of brute force, nothing leaks."""

from __future__ import annotations

import io
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sample_files
from luthier.core.records import Labelled
from luthier.data.overlap import Index, N, twins
from luthier.data.source import visible
from luthier.data.split import same
from luthier.io.config import DataConfig
from luthier.models.loading.tokenizer import tokenizer_only
from luthier.reports.inspection.findings import bars, findings, histogram
from luthier.reports.inspection.inspection import Inspection, Reader, inspect
from luthier.reports.inspection.page import write_page
from luthier.reports.inspection.terminal import print_inspection

WORDS = [
    "parcel",
    "refund",
    "courier",
    "invoice",
    "lamp",
    "table",
    "window",
    "garden",
    "包裹",
    "退款",
    "发票",
    "窗户",
    "花园",
    "台灯",
    "night",
    "early",
    "letter",
    "stone",
]


def sentence(seed: int, words: int = 12) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words)) + f" {seed}"


@pytest.fixture
def reader(tiny_folder: Any) -> Reader:
    return Reader(str(tiny_folder("llama_tied")), max_length=120)


def said(found: Inspection) -> str:
    return "\n".join(str(f.text) + "".join(f"\n  {row}" for row in f.rows) for f in findings(found))


@pytest.mark.parametrize("kind", sample_files.EVERY)
def test_planted_faults_are_found_in_every_format(tmp_path: Path, kind: str, reader: Reader) -> None:
    """One of each: a bad row, a duplicate, a contradiction, a near duplicate, a row that is too long, a leak, a near
    leak, a rare label. Seen failing with the pairs' lines exchanged and with the cut rows counted by characters."""
    rows = [{"text": sentence(i), "label": "ab"[i % 2]} for i in range(30)]
    (tmp_path / "test").mkdir()
    held = [{"text": sentence(100 + i), "label": "a"} for i in range(5)]
    held += [dict(rows[7]), {"text": rows[8]["text"] + " please", "label": "a"}]
    rows += [
        {"text": " ", "label": "a"}, {**rows[3], "text": rows[3]["text"].upper()}, {**rows[4], "label": "rare"},
        {"text": rows[5]["text"].rsplit(" ", 1)[0] + " x", "label": "b"}, {"text": sentence(50, 90), "label": "a"},
    ]  # fmt: skip
    path = sample_files.write(rows, kind, tmp_path)
    test = sample_files.write(held, kind, tmp_path / "test")
    train, tested = inspect(DataConfig(str(path), str(test)), reader)
    assert (train.rows, train.kept, len(train.bad)) == (35, 34, 1) and '"text" is empty' in train.bad[0].reason
    at = {"jsonl": 1, "csv": 2, "tsv": 2, "parquet": 1, "datasets": 1}.get(kind)
    pairs = [train.duplicates, train.conflicts, train.alike, tested.seen, tested.near]
    assert [len(found) for found in pairs] == [1, 1, 1, 1, 1]
    assert len(train.tokens.cut) == 1 and not tested.tokens.cut
    assert dict(train.balance) == {"a": 16, "b": 17, "rare": 1}
    if at is not None:
        assert [(p.line - at, p.like - at) for (p,) in pairs] == [(31, 3), (32, 4), (33, 5), (5, 7), (6, 8)]
        assert train.bad[0].line == at + 30 and train.tokens.cut == (at + 34,)
    text = said(train)
    assert "35 rows in the file: 34 kept, 1 dropped" in text and '"rare" 1' in text
    assert "1 row repeats an earlier row with another answer" in text
    assert all(f.trouble for f in findings(train) if f.rows)


def test_lengths_and_loss_are_those_of_training(tmp_path: Path, reader: Reader) -> None:
    """By hand: the chat template around a question and an answer, the answer and its end carry loss."""
    rows = [{"instruction": f"ask {i}", "output": "word " * (i + 1) + "end"} for i in range(20)]
    found, *_ = inspect(DataConfig(str(sample_files.jsonl(rows, tmp_path / "a.jsonl"))), reader)
    lm = tokenizer_only(reader.model)
    lengths, learned, total = [], 0, 0
    for row in rows:
        prompt = lm.tokenizer(f"<|im_start|>user\n{row['instruction']}<|im_end|>\n<|im_start|>assistant\n")["input_ids"]
        answer = lm.tokenizer(f"{row['output']}<|im_end|>")["input_ids"]
        end = lm.tokenizer("\n")["input_ids"]
        lengths.append(len(prompt) + len(answer) + len(end))
        total += min(lengths[-1], 120)
        learned += max(min(len(answer), 120 - len(prompt)), 0)
    tokens = found.tokens
    assert list(tokens.lengths) == lengths and (tokens.learned, tokens.total) == (learned, total)
    assert tokens.cut == tuple(i + 1 for i, n in enumerate(lengths) if n > 120)
    shown = tokens.shown[0]
    assert [text for text, flag in shown.runs if flag] == ["word end<|im_end|>"]
    assert "".join(text for text, _ in shown.runs) == (
        "<|im_start|>user\nask 0<|im_end|>\n<|im_start|>assistant\nword end<|im_end|>\n"
    )


def test_rows_that_are_too_long_keep_their_answer(tmp_path: Path, reader: Reader) -> None:
    """Seen failing with the answer cut off behind a long question, so that nothing was learned."""
    rows = [{"instruction": "word " * 200 * (i == 1) + "q", "output": "word " * 200 * (i == 2) + "a"} for i in range(4)]
    found, *_ = inspect(DataConfig(str(sample_files.jsonl(rows, tmp_path / "a.jsonl"))), reader)
    assert found.tokens.cut == (2, 3) and found.tokens.ends == (3,) and found.tokens.empty == ()
    text = said(found)
    assert (
        "2 of 4 rows are shortened to 120 tokens (--max-length sets it): the middle of the longest text gives way"
        in text
    )
    assert "1 row has an answer of more than 120 tokens: its end is not learned" in text


def test_plain_text_loses_nothing(tmp_path: Path, reader: Reader) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(sentence(i, 100) for i in range(4)), encoding="utf-8")
    found, *_ = inspect(DataConfig(str(path)), reader)
    assert found.task == "text" and found.tokens.objective == "lm" and min(found.tokens.lengths) > 120
    assert not found.tokens.cut and found.tokens.learned == sum(found.tokens.lengths) - 4


def test_other_records(tmp_path: Path, reader: Reader) -> None:
    judged = [{"prompt": f"p{i}", "completion": "c", "label": i != 2} for i in range(4)]
    found, *_ = inspect(DataConfig(str(sample_files.jsonl(judged, tmp_path / "a.jsonl"))), reader)
    assert not found.unused and dict(found.balance) == {"good": 3, "bad": 1}, "thumbs are preferences: both are learned"
    assert len(found.tokens.lengths) == 4
    judged[3]["label"] = "unknown"
    found, *_ = inspect(DataConfig(str(sample_files.jsonl(judged, tmp_path / "u.jsonl"))), reader)
    assert [row.line for row in found.unused] == [3] and dict(found.balance) == {"good": 2, "bad": 1}
    assert len(found.tokens.lengths) == 3 and "1 row is answers that were found bad" in said(found)
    tagged = [{"text": sentence(i), "labels": ["a", "b"][: i % 3]} for i in range(6)]
    found, *_ = inspect(DataConfig(str(sample_files.jsonl(tagged, tmp_path / "b.jsonl"))), reader)
    assert dict(found.balance) == {"a": 4, "b": 2, "(none)": 2}
    rated = [{"text": sentence(i), "score": i} for i in range(11)]
    found, *_ = inspect(DataConfig(str(sample_files.jsonl(rated, tmp_path / "c.jsonl"))), reader)
    assert found.balance == (("0 to 2", 2), ("2 to 4", 2), ("4 to 6", 2), ("6 to 8", 2), ("8 to 10", 3))


# -- overlap ---------------------------------------------------------------------------------------------------------


def grams(text: str) -> set[bytes]:
    data = text.encode()
    return {data[i : i + N] for i in range(len(data) - N + 1)}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(
        st.lists(st.sampled_from(["包裹", "lamp", "a", "garden", "table", "退款"]), max_size=8), min_size=1, max_size=14
    )
)
def test_overlap_is_that_of_brute_force(lists: list[list[str]]) -> None:
    """Seen failing with wording counted in the share, and with n-grams counted as often as they occur."""
    texts = [" ".join(words) for words in lists]
    sets = [grams(text) for text in texts]
    common = {g for s in sets for g in s if sum(g in other for other in sets) > max(5, len(texts) // 10)}
    sets = [s - common for s in sets]
    index = Index(texts)
    for text in [*texts, "lamp garden 包裹 other words"]:
        own = grams(text) - common
        shares = [len(own & other) / len(own) if own else 0.0 for other in sets]
        at, share = index.held(text)
        assert share == pytest.approx(max(shares)) and (share == 0 or shares[at] == pytest.approx(share))
    want = []
    for i, own in enumerate(sets):
        shares = [len(own & other) / max(len(own), len(other), 1) for other in sets[:i]]
        if shares and own and max(shares) >= 0.7:
            want.append((i, round(max(shares), 9)))
    assert [(i, round(share, 9)) for i, _, share in twins(texts)] == want


def test_an_instruction_that_every_row_has_makes_no_twins() -> None:
    texts = [f"translate this sentence from german to english: {sentence(i, 4)}" for i in range(60)]
    assert twins(texts) == []
    assert [(i, j) for i, j, _ in twins([*texts, texts[9] + " now"])] == [(60, 9)]


def test_a_sample_of_n_grams_still_finds_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.data.overlap.MOST", 2000)
    texts = [sentence(i, 60) for i in range(30)]
    index = Index(texts)
    assert index.every > 1 and len(index.flat) < 0.6 * sum(len(grams(t)) for t in texts)
    assert index.held(texts[4] + " and more")[0] == 4 and index.held(texts[4] + " and more")[1] > 0.7
    assert index.held(sentence(999, 60))[1] < 0.7


def test_real_sentences_are_not_alike() -> None:
    """The embedded messages were checked to be no near duplicates: none may be called so here."""
    from luthier.data.embedded import tickets

    assert twins([same(record) for record in tickets().records if isinstance(record, Labelled)]) == []


def test_histogram_and_bars() -> None:
    assert [(str(b.name), b.count) for b in histogram([1, 2, 119])][:1] == [("0 to 9", 2)]
    assert sum(b.count for b in histogram(range(1000))) == 1000 and len(histogram(range(1000))) <= 13
    assert histogram([]) == [] and [str(b.name) for b in histogram([0])] == ["0 to 0"]
    many = bars([(str(i), 2) for i in range(50)])
    assert len(many) == 41 and str(many[-1].name) == "(10 more)" and many[-1].count == 20


# -- what is shown ---------------------------------------------------------------------------------------------------

EVIL = '<script>alert(1)</script>\x1b[31m\u202e & "quoted" 中文'


def test_the_page_escapes_everything_and_stands_alone(tmp_path: Path, reader: Reader) -> None:
    rows: list[dict[str, Any]] = [{"text": f"{EVIL} {i}", "label": EVIL} for i in range(3)]
    rows += [{"text": EVIL, "label": "\ud83d"}, {"text": EVIL, "label": [EVIL]}]
    path = tmp_path / "<b>evil.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n{broken <i>", encoding="utf-8")
    found = inspect(DataConfig(str(path), str(path)), reader)
    write_page(found, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<script") == 2 and "<i>" not in page and "<b>evil" not in page and "&lt;script&gt;" in page
    assert "\x1b" not in page and "\u202e" not in page and "中文" in page and "<mark>" in page
    assert not re.search(r"(src|href)=|url\(|@import|https?:", page), "a page that needs a network"
    assert "prefers-color-scheme:dark" in page and 'charset="utf-8"' in page
    assert page.count("<article>") == 2 and "Test file" in page


def test_the_terminal_obeys_no_data(tmp_path: Path, reader: Reader) -> None:
    from rich.console import Console

    rows = [{"text": f"[bold]{EVIL} {i}", "label": "x"} for i in range(3)]
    found, *_ = inspect(DataConfig(str(sample_files.jsonl(rows, tmp_path / "a.jsonl"))), reader)
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=False)
    print_inspection(found, console)
    text = console.export_text()
    assert "\x1b" not in text and "\u202e" not in text and "[bold]<script>" in text.replace("\n", "")
    assert "3 rows in the file: 3 kept, 0 dropped" in text and "中文" in text
    assert visible("a\x1b\r\n\tb") == "a\\x1b\\x0d\n\tb"


def test_the_command(tmp_path: Path, reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    from typer.testing import CliRunner

    from luthier.cli import app

    rows = [{"frage": f"q {i}", "antwort": f"a {i}"} for i in range(12)]
    path = sample_files.json_array(rows, tmp_path / "a.json")
    runner = CliRunner()
    result = runner.invoke(
        app, ["data", "inspect", str(path), "--test", str(path), "--map", "frage=question,antwort=answer", "--model",
              reader.model, "--html", str(tmp_path / "out.html")],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "12 rows are in the training file too" in " ".join(result.output.split())
    assert (tmp_path / "out.html").exists()
    assert runner.invoke(app, ["data", "formats"]).output.count("\n") > 12
    assert "handbook" in runner.invoke(app, ["data", "sets"]).output
    for command in ("inspect", "formats", "sets"):
        assert "Example: luthier data" in runner.invoke(app, ["data", command, "--help"]).output


def test_a_tokenizer_needs_no_weights(reader: Reader) -> None:
    lm = tokenizer_only(reader.model)
    assert (
        lm.context == 2048
        and lm.encode_prompt("hello")
        == lm.tokenizer("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n")["input_ids"]
    )


def test_keys_refused_rows_and_special_tokens_are_told_in_both_languages(tmp_path: Path, reader: Reader) -> None:
    """On the terminal and on the page; rows that no template can write count as kept, and are not tokenised."""
    from rich.console import Console

    turns = [{"role": "user", "content": "where is it?"}, {"role": "assistant", "content": "here"}]
    called = [turns[0], {"role": "assistant", "content": None, "tool_calls": [{"name": "find", "extra": 1}]}, *turns]
    named = [{**turns[0], "name": "Ann", "content": "say <|im_start|>"}, turns[1]]
    rows = [{"messages": turns, "id": 1}, {"messages": called, "id": 2}, {"messages": named, "id": 3}]
    path = sample_files.write(rows, "jsonl", tmp_path)
    (found,) = inspect(DataConfig(str(path)), reader)
    assert [bad.line for bad in found.refused] == [2] and len(found.tokens.lengths) == 2 and found.kept == 3
    text = said(found)
    for sentence_ in (
        "not used, with the number of rows: id (3), tool_calls[].extra (1).",
        "1 row is not written by the model's chat template as they stand here: no method runs on them\n  line 2: ",
        "the model's chat template does not write the names of speakers (rows: 1)",
        "1 row has <|im_start|> in a text: the model reads it as a special token, not as words",
    ):
        assert sentence_ in text
    console = Console(record=True, file=io.StringIO(), width=100)
    print_inspection(found, console)
    shown = console.export_text()
    write_page([found], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for key in (
        "messages",
        "id",
        "messages[].name",
        "messages[].tool_calls",
        "tool_calls[].name",
        "tool_calls[].extra",
    ):
        assert re.search(rf"^ *{re.escape(key)} +\d", shown, re.M) and f"<bdi>{key}</bdi>" in page
    assert "未使用" in page and "键" in page and "模型的对话模板不写说话者的名字" in page
    assert "第 2 行：分词器的对话模板遗漏了对 find 的调用或其参数" in page


def test_the_learned_answer_of_a_long_row_is_shown() -> None:
    """Seen failing with a row cut from its beginning on: an instruction of 1,200 characters left `…` of the answer."""
    from luthier.reports.inspection.inspection import Shown
    from luthier.reports.inspection.terminal import _coloured

    text = str(_coloured(Shown(1, (("问" * 3000, False), ("答案是四十二。", True), ("\n", False)), 2000, 0)))
    assert "答案是四十二。" in text and len(text) < 1300 and "问 … 问" in text
    both = str(_coloured(Shown(1, (("q" * 3000, False), ("a" * 3000, True)), 2000, 0)))
    assert "a … a" in both and "q … q" in both and len(both) < 1300
