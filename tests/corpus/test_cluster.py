"""A corpus on a Ray cluster of two machines of one core each, both of them this one: the same shards as here."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from stories import jsonl, story

pytest.importorskip("pyarrow")
pytest.importorskip("numba")
pytest.importorskip("ray")
from luthier.core.errors import LuthierError
from luthier.corpus import cluster, documents
from luthier.corpus.mixing import mix
from luthier.corpus.pool import Here
from luthier.corpus.recipe import Pipeline, run_pipeline, stage_of
from luthier.io.files import read_json
from running import bar
from storage import files_of

STAGES = ("language", {"filter": {"rules": [{"name": "few", "signal": "words", "least": 20}]}}, "exact", "near")


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    from ray.cluster_utils import Cluster

    found = Cluster()
    for _ in range(2):
        found.add_node(num_cpus=1, object_store_memory=80 * 2**20, include_dashboard=False)
    yield found
    found.shutdown()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("luthier.corpus.read.UNIT", 1)  # a file is a unit, and so a shard
    (tmp_path / "data").mkdir()
    for k in range(6):
        jsonl(tmp_path / "data" / f"{k}.jsonl", [*(story(1000 * k + j, 40) for j in range(60)), story(7, 40)])
    return tmp_path / "data"


def made(data: Path) -> Pipeline:
    return Pipeline((data,), tuple(map(stage_of, STAGES)))


@pytest.mark.slow
def test_the_same_shards_though_a_worker_is_killed(machines: Any, data: Path, tmp_path: Path) -> None:
    told = run_pipeline(made(data), tmp_path / "here", Here(1), bar)
    killed: list[str] = []

    def kill() -> None:
        """SIGKILL the first worker that is at work when two units have been read."""
        while not killed and not (tmp_path / "far" / "funnel.json").exists():
            time.sleep(0.02)
            if len(list((tmp_path / "far" / "stages").glob("00-*/counts/*.json"))) >= 2:
                raylets = [str(node.all_processes["raylet"][0].process.pid) for node in machines.list_all_nodes()]
                asked = ["pgrep", "-P", ",".join(raylets), "-f", "ray::_do"]  # none of another cluster's
                found = subprocess.run(asked, capture_output=True, text=True, check=False)
                for pid in found.stdout.split()[:1]:
                    os.kill(int(pid), signal.SIGKILL)
                    killed.append(pid)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    with cluster.joined(machines.address) as pool:
        assert run_pipeline(made(data), tmp_path / "far", pool, bar) == told
        thread.join()
        recipe = tmp_path / "mix.yaml"
        recipe.write_text("tokenizer: embedded\nsources: {one: far/kept}\ntokens: 9000\n")
        for name, workers in (("mixed", Here(1)), ("mixed-far", pool)):
            mix.run(mix.read_mix(recipe), tmp_path / name, workers, bar)
    assert killed, "nobody was killed"
    assert files_of(tmp_path / "far") == files_of(tmp_path / "here")
    assert files_of(tmp_path / "mixed") == files_of(tmp_path / "mixed-far")


@pytest.mark.slow
def test_what_work_raises_is_raised_here(machines: Any, tmp_path: Path) -> None:
    with cluster.joined(machines.address) as pool:
        (tmp_path / "broken").write_text("{")
        with pytest.raises(LuthierError, match="broken: damaged"):
            list(pool.in_turn(documents.read, [(tmp_path / "broken",)], 0))
        with pytest.raises(FileNotFoundError):
            list(pool.in_turn(read_json, [(tmp_path / "nothing",)], 0))
        with pytest.raises(LuthierError, match=r"does not see .*nothing: name a folder that all machines share"):
            pool.check(tmp_path, [tmp_path / "nothing"])
        pool.check(tmp_path / "new", [tmp_path])
        assert not list((tmp_path / "new").iterdir())


def test_a_kill_while_machines_are_asked_leaves_a_folder_to_go_on_in(data: Path, tmp_path: Path) -> None:
    class Killed(Here):
        """Ended as by SIGKILL: what it has written for its question stays."""

        def check(self, folder: Path, inputs: Sequence[Path]) -> None:
            (folder / ".seen-0").write_text("asked")
            raise KeyboardInterrupt

    (tmp_path / "mix.yaml").write_text("tokenizer: embedded\nsources: {one: out/kept}\n")
    for pool in (Killed(1), Here(1)):
        with nullcontext() if pool.__class__ is Here else pytest.raises(KeyboardInterrupt):
            run_pipeline(made(data), tmp_path / "out", pool, bar)
    for pool in (Killed(1), Here(1)):
        with nullcontext() if pool.__class__ is Here else pytest.raises(KeyboardInterrupt):
            mix.run(mix.read_mix(tmp_path / "mix.yaml"), tmp_path / "mixed", pool, bar)


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}"])
def test_a_cluster_that_is_not_there_is_a_sentence(address: str, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        given = address.format(port=free.getsockname()[1])
    command = [sys.executable, "-m", "luthier", "corpus", "read", str(tmp_path), "--ray", given]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert ended.returncode == 2 and ended.stderr.startswith(f"error: --ray {given}: no cluster answers there")
    assert "ray status" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize("address", ["nowhere", "host:port", ":1", "ray://", "host:", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_a_sentence(address: str) -> None:
    with pytest.raises(LuthierError, match=f"--ray {address}: "), cluster.joined(address):
        pass


def test_a_machine_with_another_version_is_named() -> None:
    found, about = cluster.Cluster("head:6379"), {**cluster.OWN, "seen": [True, True]}
    found._judge("10.0.0.2", about, Path("out"), [Path("in")])
    with pytest.raises(LuthierError, match=r"10\.0\.0\.2 has Luthier 0\.0\.1, this machine .*: install luthier"):
        found._judge("10.0.0.2", about | {"Luthier": "0.0.1"}, Path("out"), [Path("in")])
    with pytest.raises(LuthierError, match=r"10\.0\.0\.2 does not see out: .*s3://bucket/folder"):
        found._judge("10.0.0.2", about | {"seen": [False, True]}, Path("out"), [Path("in")])
