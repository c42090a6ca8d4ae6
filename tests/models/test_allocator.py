"""Memory that is freed inside `kept` stays with the process, through inner blocks too; behind it, it is given back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGES = 16384  # of 64 MiB: more than glibc keeps by itself
SCRIPT = """
import torch
from luthier.models.kernels.allocator import kept

def held():
    return int(open("/proc/self/statm").read().split()[1])

torch.ones(64 << 18)
before = held()
torch.ones(64 << 18)
plain = held() - before
with kept():
    with kept():
        torch.ones(64 << 18)
    inside = held() - before
print(plain, inside, held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or sys.platform != "linux", reason="glibc's allocator")
def test_freed_memory_stays_and_is_given_back_at_the_end() -> None:
    """Seen failing without the calls of mallopt, and with the inner block's giving it back."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    plain, inside, behind = map(int, done.stdout.split())
    assert inside > 0.9 * PAGES
    assert plain < 0.1 * PAGES and behind < 0.1 * PAGES
