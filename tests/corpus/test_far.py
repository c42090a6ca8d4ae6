"""A corpus that is read from an address and written to one: the same shards as from folder to folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stories import jsonl, story

pytest.importorskip("pyarrow")
pytest.importorskip("numba")
pytest.importorskip("upath")
pytest.importorskip("s3fs")
pytest.importorskip("moto")
pytest.importorskip("flask")
from typer.testing import CliRunner

from luthier.cli import app
from luthier.corpus.mixing import mix
from luthier.corpus.pool import Here
from luthier.data import token_files as tokens
from luthier.io import places
from running import bar
from storage import files_of, s3

RECIPE = """input: {input}
stages: [language, {{filter: {{rules: [{{name: few_words, signal: words, least: 20}}]}}}}, exact, near]
"""


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with s3("corpus") as found:
        yield found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for k, name in enumerate(("0", "0/1", "0-2 x[1]")):
        (tmp_path / "data" / name).parent.mkdir(exist_ok=True)
        jsonl(tmp_path / "data" / f"{name}.jsonl", [*(story(1000 * k + j, 40) for j in range(40)), story(7, 40)])
    return tmp_path / "data"


def corpus(*given: str) -> str:
    found = CliRunner().invoke(app, ["corpus", *given], catch_exceptions=True)
    return found.output if found.exception is None else f"{found.output}{found.exception}"


def test_the_same_shards_wherever_files_lie(bucket: str, data: Path, tmp_path: Path) -> None:
    for path in places.files(data):
        places.put(path, places.place(f"{bucket}/data") / path.relative_to(data))
    for name, where in (("here", "data"), ("far", f"{bucket}/data")):
        (tmp_path / f"{name}.yaml").write_text(RECIPE.format(input=where))
    assert "Report: " in corpus("run", str(tmp_path / "here.yaml"), "--out", str(tmp_path / "out"), "--workers", "1")
    assert f"Report: {bucket}/out/report.html" in corpus(
        "run", str(tmp_path / "far.yaml"), "--out", f"{bucket}/out", "--workers", "2"
    )
    here, far = files_of(tmp_path / "out"), files_of(f"{bucket}/out")
    for name in ("kept", "dropped"):
        own = {path: data for path, data in here.items() if path.startswith(f"{name}/")}
        other = {path: data for path, data in far.items() if path.startswith(f"{name}/")}
        assert own and own == other  # stages have other names: a storage's own mark of a file stands for a hash of it
    before = places.mark(places.place(f"{bucket}/out/kept/00000.parquet"))
    again = corpus("run", str(tmp_path / "far.yaml"), "--out", f"{bucket}/out", "--workers", "1")
    assert "Report: " in again and files_of(f"{bucket}/out") == far
    assert places.mark(places.place(f"{bucket}/out/kept/00000.parquet")) == before  # not written again
    places.place(f"{bucket}/data/0/1.jsonl").write_text('{"text": "other"}\n')  # seen, although nobody read it
    assert "read: 83 in" in corpus("run", str(tmp_path / "far.yaml"), "--out", f"{bucket}/out", "--workers", "1")


def test_duplicates_of_an_earlier_run_at_an_address(bucket: str, data: Path, tmp_path: Path) -> None:
    assert "Report: " in corpus("dedup", str(data), "--out", f"{bucket}/first", "--workers", "1")
    named = f"input: {data}/0.jsonl\nstages: [{{near: {{against: ['{bucket}/first']}}}}]\n"
    (tmp_path / "second.yaml").write_text(named)
    told = corpus("run", str(tmp_path / "second.yaml"), "--out", str(tmp_path / "second"), "--workers", "1")
    assert "near: 41 in, 0 kept, 41 dropped" in told


def test_a_mix_at_an_address(bucket: str, data: Path, tmp_path: Path) -> None:
    for out in (str(tmp_path / "read"), f"{bucket}/read"):
        assert "Report: " in corpus("read", str(data), "--out", out, "--workers", "1")
        (tmp_path / "mix.yaml").write_text(
            f"tokenizer: embedded\nsources: {{one: {out}/kept}}\ntokens: 9000\ncurriculum: {{by: length}}\n"
        )
        mix.run(mix.read_mix(tmp_path / "mix.yaml"), places.place(f"{out}/mixed"), Here(1), bar)
    here, far = (files_of(f"{out}/mixed/tokens") for out in (tmp_path / "read", f"{bucket}/read"))
    here.pop("key.json"), far.pop("key.json")
    assert here == far
    found = tokens.Tokens(places.place(f"{bucket}/read/mixed/tokens"))
    assert len(found) > 8000 and list(found[:9]) == list(tokens.Tokens(tmp_path / "read" / "mixed" / "tokens")[:9])


@pytest.mark.parametrize(
    ("inputs", "out", "said"),
    [
        ("{bucket}/nothing", "{tmp}/out", "s3://corpus/nothing: no such file or folder"),
        ("{data}", "s3://nosuch/out", "s3://nosuch/out: The specified bucket does not exist"),
        ("{data}", "foo://x/out", "foo://x/out: an address is one of s3://"),
        ("https://x", "{tmp}/out", "https://x: an address is one of s3://"),
        ("{data}", "{bucket}/taken", "s3://corpus/taken is not empty and holds no corpus"),
    ],
)
def test_what_is_wrong_with_an_address_is_a_sentence(
    inputs: str, out: str, said: str, bucket: str, data: Path, tmp_path: Path
) -> None:
    places.place(f"{bucket}/taken/other.txt").write_text("theirs")
    named = {"bucket": bucket, "data": data, "tmp": tmp_path}
    told = corpus("read", inputs.format(**named), "--out", out.format(**named), "--workers", "1")
    assert said in told and "Traceback" not in told


def test_no_keys_is_a_sentence_without_them(bucket: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3fs.S3FileSystem.clear_instance_cache()
    told = corpus("read", str(data), "--out", f"{bucket}/keyless", "--workers", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    assert f"{bucket}/keyless: Unable to locate credentials" in told and "test" not in told.split(": ", 1)[1]


@pytest.mark.parametrize("command", ["corpus tune x.txt", "corpus collect --git .", "train", "tokenizer train x.txt"])
def test_where_only_a_folder_of_here_is_meant_an_address_is_refused(command: str, tmp_path: Path) -> None:
    given = [sys.executable, "-m", "luthier", *command.split(), "--out", "s3://bucket/x"]
    ended = subprocess.run(given, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (
        ended.returncode == 2 and "--out s3://bucket/x: this command writes to a folder of this machine" in ended.stderr
    )
    assert not list(tmp_path.iterdir())
