"""What the files of a comparison say stays in both languages: reasons, notes of the data, notes of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from finished import comparison, evaluation
from luthier.comparison.board import gather
from luthier.comparison.results import (
    log_error,
    of_model,
    read_notes,
    read_outcome,
    read_runs,
    write_left_out,
    write_notes,
)
from luthier.core.errors import LuthierError, Refused
from luthier.core.phrases import Phrase, remember, say
from luthier.io.files import read_json, write_json
from luthier.reports.comparison.publish import publish

BLOCKS = say("said_refused_blocks", count=2, n=3)


def left_out(folder: Path, reason: str | BaseException) -> str:
    write_left_out(folder / "trials" / "lora", "skipped", reason)
    return str(read_json(folder / "trials" / "lora" / "outcome.json")["reason"])


@pytest.mark.parametrize("reason", [BLOCKS, Refused(BLOCKS)])
def test_a_reason_is_kept_with_its_phrase(reason: str | BaseException, tmp_path: Path) -> None:
    assert left_out(tmp_path, reason) == "the model has 2 blocks, fewer than n = 3"
    found = read_outcome(tmp_path, "lora")
    assert found["status"] == "skipped" and isinstance(found["reason"], Phrase)
    assert found["reason"].text("zh") == "模型只有 2 个块，少于 n = 3"


def test_a_reason_is_one_line(tmp_path: Path) -> None:
    """Of a phrase, what stands in its places; plain text has no phrase."""
    assert left_out(tmp_path, LuthierError("too small\n a budget")) == "too small; a budget"
    assert type(read_outcome(tmp_path, "lora")["reason"]) is str
    inner = say("said_template_roles", roles="user", reason="line 1\n\n  line 2")
    assert left_out(tmp_path, say("said_refused_unwritten", count=1, rows=2, reason=inner)) == (
        "1 of 2 rows cannot be written for this model: the tokenizer's chat template refuses the roles (user): "
        "line 1; line 2"
    )
    found = read_outcome(tmp_path, "lora")["reason"]
    assert isinstance(found, Phrase) and found.text("zh").endswith("不接受这些角色（user）：line 1; line 2")
    assert left_out(tmp_path, LuthierError(" \n")) == "no reason was given"


def test_a_name_before_a_reason_leaves_it_a_phrase(tmp_path: Path) -> None:
    named = of_model("a/model", BLOCKS)
    assert isinstance(named, Phrase) and named == f"a/model: {BLOCKS}" and "2 个块" in named.text("zh")
    assert of_model("a/model", "a/model: is not there") == "a/model: is not there"
    assert isinstance(log_error(tmp_path / "error.log", tmp_path, Refused(BLOCKS)), Phrase)


def test_notes_of_the_data_are_kept(tmp_path: Path) -> None:
    """As earlier versions wrote them, too."""
    write_notes(tmp_path, [say("said_split_duplicates", rows=2), "plain"])
    first, plain = read_notes(tmp_path)
    assert isinstance(first, Phrase) and first.text("zh").startswith("2 行与其他行重复") and plain == "plain"
    write_json(tmp_path / "notes.json", ["1 row is a duplicate."])
    assert read_notes(tmp_path) == ["1 row is a duplicate."]


def test_the_page_says_all_of_it_in_chinese(tmp_path: Path) -> None:
    noted = remember(evaluation([1.0, 0.0, 1.0, 1.0], notes=[say("said_rate_step"), "plain"]), "notes")
    folder = comparison(tmp_path / "out", {"lora": [noted], "layers": ("skipped", "replaced below")})
    write_left_out(folder / "trials" / "layers", "skipped", Refused(BLOCKS))
    write_notes(folder, [say("said_split_in_test_one")])
    assert [type(note) for note in read_runs(folder, "lora", 1)[0]["notes"]] == [Phrase, str]
    board, details = gather(folder)
    same = say("said_same_answer", rows=4, answer="refund")
    assert details["run_notes"] == [["lora", say("said_rate_step")], ["lora", same]], "plain text is not on the page"
    (row,) = [row for row in board["rows"] if row["status"] == "skipped"]
    assert isinstance(row["reason"], Phrase) and isinstance(details["notes"][-1], Phrase)
    publish(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    for key in ("said_rate_step", "said_same_answer", "said_split_in_test_one", "said_refused_blocks"):
        assert f'data-say="{key}"' in page or f"&quot;t&quot;: &quot;{key}&quot;" in page, key
