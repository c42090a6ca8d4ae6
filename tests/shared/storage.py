"""An S3-compatible server of this machine, and what lies there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from luthier.io.places import place


@contextmanager
def s3(bucket: str) -> Iterator[str]:
    """The address of an empty bucket, which this process and those it starts find as people's programs do."""
    import boto3
    from moto.server import ThreadedMotoServer

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        with patch.dict(os.environ, keys | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}):
            boto3.client("s3").create_bucket(Bucket=bucket)
            yield f"s3://{bucket}"
    finally:
        server.stop()


def files_of(folder: Path | str) -> dict[str, bytes]:
    """What lies below a folder or an address, but locks and the page, which names no place of a document's."""
    top = place(folder)
    found = {path.relative_to(top).as_posix(): path for path in top.rglob("*") if path.is_file()}
    own = (name for name, path in found.items() if not path.name.startswith(".") and path.name != "inputs.json")
    return {name: found[name].read_bytes() for name in own}
