"""`luthier data get`: from files that are here, from a hub on loopback, and without a network."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import open_rows as rows
from commands import said
from fake_hub import Hub, hub
from luthier.core.errors import LuthierError
from luthier.data import opensets
from luthier.data.opensets import get, remote
from luthier.data.opensets.get import Order

DOLLY = ("databricks/databricks-dolly-15k", "databricks-dolly-15k.jsonl")
NOWHERE = "http://127.0.0.1:9"


def lines(found: list[Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found).encode()


def records(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub, and an empty cache of it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.chdir(tmp_path)
    with hub() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        yield found


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, an empty cache, and a folder to stand in."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_list_names_every_set() -> None:
    told = said("data", "get", "--list")
    for name in ("dolly  (CC BY-SA 3.0)", "15,011 rows", "zh.jsonl", "35: en, es…", "full-common_crawl *"):
        assert name in told
    assert "luthier data get --list" in said("data", "sets")
    with pytest.raises(LuthierError, match="data get NAME"):
        said("data", "get")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["dolly"], [f"dolly: {NOWHERE} cannot be reached", "take databricks-dolly-15k.jsonl from https://huggingface",
                     "luthier data get dolly --from databricks-dolly-15k.jsonl", "HF_ENDPOINT"]),
        (["oasst1", "--language", "zh", "--rows", "9"],
         ["luthier data get oasst1 --rows 9 --language zh --from 2023-04-12_oasst_ready.trees.jsonl.gz"]),
        (["gpt4-llm", "--part", "en,zh"], ["alpaca_gpt4_data.json from https", "alpaca_gpt4_data_zh.json from https",
                                           "put all into one folder",
                                           "luthier data get gpt4-llm --part en,zh --from FOLDER"]),
        (["redpajama", "--part", "full-c4", "--rows", "5"],
         ["an address in https://huggingface.co/datasets/togethercomputer/RedPajama-Data-1T/blob/main/urls/c4.txt",
          "luthier data get redpajama --part full-c4 --rows 5 --from FILE"]),
    ],
)  # fmt: skip
def test_without_a_network_it_says_what_to_put_where(words: list[str], told: list[str], alone: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(LuthierError) as error:
        said("data", "get", *words)
    assert all(part in str(error.value) for part in told) and "\n" not in str(error.value)
    assert [*alone.iterdir()] == [] and time.monotonic() - begin < 30


def test_the_program_itself_says_it_in_seconds(tmp_path: Path) -> None:
    """No traceback, status 2, and no word of the hub's library, which would try for half a minute."""
    env = {**os.environ, "HF_ENDPOINT": NOWHERE, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-m", "luthier", "data", "get", "dolly"], cwd=tmp_path, env=env,
                          capture_output=True, text=True, timeout=20)  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: dolly: ") and done.stderr.count("\n") == 1


def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_why_not", lambda url: time.sleep(60))
    monkeypatch.setattr(remote, "SECONDS", -0.9)
    place = opensets.find("gpteacher").parts[1].place
    assert remote.unreachable([place]) == {"https://raw.githubusercontent.com": "no answer"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["dolly", "--part", "x"], "dolly has no part 'x'; it has dolly"),
        (["dolly", "--language", "zh"], "no rows in 'zh'; it has en"),
        (["gpt4-llm", "--part", "en", "--language", "zh"], "the part has no rows in zh"),
        (["redpajama"], "choose with --part: arxiv, c4"),
        (["redpajama", "--part", "full-c4"], "say how many rows with --rows"),
        (["dolly", "--from", "absent"], "absent does not exist"),
        (["gpt4-llm", "--from", "here.jsonl"], "which part of gpt4-llm is it.*--part: en, zh, unnatural, comparisons"),
        (["gpt4-llm", "--part", "zh", "--from", "."], r"lacks alpaca_gpt4_data_zh\.json \(zh\)"),
        (["dolly", "--from", "here.jsonl"], r"none of 1 rows can be used: instruction is missing or empty \(1\)"),
        (["dolly", "--from", "here.jsonl", "--out", "full"], "full is not empty and holds no open data set"),
    ],
)
def test_what_cannot_be_asked_for_is_said(words: list[str], told: str, alone: Path) -> None:
    (alone / "here.jsonl").write_bytes(b'{"a": 1}\n')
    (alone / "full").mkdir()
    (alone / "full" / "mine.txt").touch()
    with pytest.raises(LuthierError, match=told):
        said("data", "get", *words)
    assert sorted(path.name for path in alone.rglob("*")) == ["full", "here.jsonl", "mine.txt"]


def test_files_that_are_here_are_converted(alone: Path) -> None:
    (alone / "raw" / "data").mkdir(parents=True)
    (alone / "raw" / "alpaca_gpt4_data_zh.json").write_bytes(json.dumps(rows.ALPACA, indent=1).encode())
    (alone / "raw" / "data" / "comparison_data_v2.json").write_bytes(json.dumps([*rows.RATED, {}]).encode())
    told = said("data", "get", "gpt4-llm", "--from", "raw", "--out", "out")
    assert "zh: 2 rows read = 2 kept + 0 dropped" in told and "1 dropped: user_input is missing or empty" in told
    assert sorted(p.name for p in Path("out").iterdir()) == [
        ".lock", "CARD.md", "comparisons.jsonl", "get.json", "zh.jsonl",
    ]  # fmt: skip
    assert [row["scores"] for row in records(Path("out/comparisons.jsonl"))] == [[9.0, 4.0], [10.0, 1.0]]
    card = Path("out/CARD.md").read_text("utf-8")
    for part in ("CC BY-NC 4.0", "alpaca-gpt4-data-zh", "comparisons: 3 rows read = 2 kept + 1 dropped, from raw.",
                 "| user_input is missing or empty | 1 |", "## 中文", "读了 3 行 = 保留 2 行 + 舍去 1 行",
                 "| 缺少 user_input，或者它是空的 | 1 |", "OpenAI"):  # fmt: skip
        assert part in card, part


@pytest.mark.slow
def test_what_was_converted_can_be_inspected(alone: Path) -> None:
    Path("alpaca_gpt4_data_zh.json").write_bytes(json.dumps(rows.ALPACA, indent=1).encode())
    said("data", "get", "gpt4-llm", "--from", "alpaca_gpt4_data_zh.json")
    assert "2 rows in the file: 2 kept, 0 dropped" in said("data", "inspect", "gpt4-llm/zh.jsonl")


def test_a_single_file_is_its_part_by_name_or_by_part(alone: Path) -> None:
    Path("codegen-instruct.json").write_bytes(json.dumps(rows.TEACHER).encode())
    assert "codegen: 1 rows read" in said("data", "get", "gpteacher", "--from", "codegen-instruct.json")
    Path("some.json").write_bytes(json.dumps(rows.TEACHER * 2).encode())
    told = said("data", "get", "gpteacher", "--from", "some.json", "--part", "roleplay")
    assert "roleplay: 2 rows read" in told and "codegen: 1 rows read" in told  # the folder holds both
    assert "roleplay.jsonl | 2" in Path("gpteacher/CARD.md").read_text("utf-8")
    with pytest.raises(LuthierError, match="gpteacher holds gpteacher, not dolly"):
        said("data", "get", "dolly", "--from", "some.json", "--out", "gpteacher")
    Path("some.json").write_bytes(json.dumps(rows.TEACHER * 3).encode())
    assert "roleplay: 3 rows" in said("data", "get", "gpteacher", "--from", "some.json", "--part", "roleplay")


def test_a_shard_of_the_whole_is_converted(alone: Path) -> None:
    Path("arxiv_0001.jsonl").write_bytes(lines(rows.PAJAMA))
    said("data", "get", "redpajama", "--part", "full-arxiv", "--from", "arxiv_0001.jsonl", "--rows", "2")
    assert len(records(Path("redpajama/full-arxiv.jsonl"))) == 2


def test_a_file_without_a_record_is_not_left(alone: Path) -> None:
    """A tree without ranked answers makes no ranking, and what an earlier command wrote would belong to others."""
    Path("2023-04-12_oasst_ready.trees.jsonl.gz").write_bytes(gzip.compress(lines([rows.weir(), rows.chinese()])))
    source = ("data", "get", "oasst1", "--from", "2023-04-12_oasst_ready.trees.jsonl.gz")
    said(*source)
    assert len(records(Path("oasst1/rankings.jsonl"))) == 2
    said(*source, "--language", "zh")
    assert not Path("oasst1/rankings.jsonl").exists() and len(records(Path("oasst1/conversations.jsonl"))) == 1
    assert "Only rows in these languages were asked for: zh." in Path("oasst1/CARD.md").read_text("utf-8")


def test_an_error_in_the_middle_leaves_what_was_there(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no half file. Seen failing with the file written in place."""
    Path("a.jsonl").write_bytes(lines(rows.DOLLY))
    said("data", "get", "dolly", "--from", "a.jsonl")
    before = {path.name: path.read_bytes() for path in Path("dolly").iterdir()}
    packed = gzip.compress(lines(rows.DOLLY * 5000))
    Path("b.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(LuthierError, match="damaged"):
        said("data", "get", "dolly", "--from", "b.jsonl.gz")
    assert {path.name: path.read_bytes() for path in Path("dolly").iterdir()} == before


def test_a_killed_command_can_be_given_again(alone: Path) -> None:
    Path("a.jsonl").write_bytes(lines(rows.DOLLY))
    command = "import luthier.data.opensets.get as g, os, signal\n"
    command += "g.write_text = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
    command += "old = g.convert\n"
    command += "def convert(*a):\n    yield from old(*a)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    command += "g.convert = convert\n"
    command += "from pathlib import Path\ng.get(g.Order('dolly', Path('dolly'), source=Path('a.jsonl')))"
    assert subprocess.run([sys.executable, "-c", command], timeout=60).returncode == -signal.SIGKILL
    left = [path.name for path in Path("dolly").iterdir()]
    assert "dolly.jsonl" not in left and any(name.endswith(".tmp") for name in left)
    said("data", "get", "dolly", "--from", "a.jsonl")
    assert sorted(p.name for p in Path("dolly").iterdir()) == [".lock", "CARD.md", "dolly.jsonl", "get.json"]


def test_a_whole_file_comes_through_the_cache_of_the_hub(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    served.put(*DOLLY, lines(rows.DOLLY))
    assert "dolly: 2 rows read = 2 kept + 0 dropped" in said("data", "get", "dolly")
    assert [row["output"] for row in records(Path("dolly/dolly.jsonl"))] == ["A wren.", "By the weir."]
    asked = len(served.asked)
    said("data", "get", "dolly")  # lies there: nothing is asked again
    assert len(served.asked) == asked
    served.files.clear()
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    said("data", "get", "dolly", "--out", "again")  # the cache has it
    assert records(Path("again/dolly.jsonl")) == records(Path("dolly/dolly.jsonl"))


def test_a_number_of_rows_does_not_fetch_the_file(served: Hub) -> None:
    big = lines([{**rows.PAJAMA[0], "text": "x" * 2000}] * 20_000)  # 40 MB
    served.put("togethercomputer/RedPajama-Data-1T-Sample", "arxiv_sample.jsonl", big)
    told = said("data", "get", "redpajama", "--part", "arxiv", "--rows", "30")
    assert "arxiv: 30 rows read = 30 kept + 0 dropped" in told and not Path("cache").exists()
    assert len(records(Path("redpajama/arxiv.jsonl"))) == 30 and served.sent == 0


def test_a_broken_connection_is_taken_up_where_it_broke(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    served.files["/a/rows.jsonl"] = lines(rows.DOLLY * 50)
    served.cuts = [1000, 700]
    stream = remote.Remote(f"{served.url}/a/rows.jsonl")
    assert io.BufferedReader(stream).read() == served.files["/a/rows.jsonl"]
    assert [given for _, _, given in served.asked] == ["", "bytes=1000-", "bytes=1700-"]
    served.cuts = [10] + [0] * 9
    with pytest.raises(LuthierError, match="again and again, at byte 10"):
        io.BufferedReader(remote.Remote(f"{served.url}/a/rows.jsonl")).read()
    served.cuts, served.ranges = [10], False
    with pytest.raises(LuthierError, match="cannot go on: begin once more"):
        io.BufferedReader(remote.Remote(f"{served.url}/a/rows.jsonl")).read()


def test_shards_of_the_whole_are_read_one_after_another(served: Hub) -> None:
    """The list is the hub's, the shards lie elsewhere; no shard is asked for whose rows are not needed."""
    urls = [f"{served.url}/v1/wikipedia/{i}.jsonl" for i in range(3)]
    served.put("togethercomputer/RedPajama-Data-1T", "urls/wikipedia.txt", "\n".join(urls).encode())
    for url in urls:
        served.files[url.removeprefix(served.url)] = lines(rows.PAJAMA[:3])
    said("data", "get", "redpajama", "--part", "full-wikipedia", "--rows", "5")
    assert [row["lang"] for row in records(Path("redpajama/full-wikipedia.jsonl"))] == ["en", "cs", "de", "en", "cs"]
    assert not any("/2.jsonl" in path for _, path, _ in served.asked)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://a.example/b", "nothing"])
def test_a_list_of_addresses_names_no_file_here(url: str, served: Hub) -> None:
    served.put("togethercomputer/RedPajama-Data-1T", "urls/c4.txt", url.encode())
    with pytest.raises(LuthierError, match="is no address of a file"):
        said("data", "get", "redpajama", "--part", "full-c4", "--rows", "5")


def test_files_of_other_servers_are_read_as_they_come(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "address", lambda place, file: f"{served.url}/{file}")
    served.files["/Codegen/codegen-instruct.json"] = json.dumps(rows.TEACHER * 3).encode()
    get.get(Order("gpteacher", Path("out"), ("codegen",)))
    assert len(records(Path("out/codegen.jsonl"))) == 3


def test_a_file_that_is_gone_is_said(served: Hub) -> None:
    with pytest.raises(LuthierError, match=r"cannot be reached \(HTTP 404 for http://127.*then: luthier data get"):
        said("data", "get", "dolly")
