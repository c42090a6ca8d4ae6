"""A 5-gram of bytes and xz, against brute force and by hand."""

from __future__ import annotations

import lzma
import math
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.pretrain.baselines import ORDER, byte_5gram, xz


def brute(train: bytes, held: bytes) -> float:
    """Interpolated Kneser–Ney, a byte at a time, from its definition."""
    counts: list[Counter[bytes]] = [Counter() for _ in range(ORDER + 1)]
    counts[ORDER] = Counter(train[i : i + ORDER] for i in range(len(train) - ORDER + 1))
    for n in range(ORDER - 1, 0, -1):
        counts[n] = Counter(gram[1:] for gram in counts[n + 1])
    totals: dict[bytes, int] = defaultdict(int)
    kinds: dict[bytes, int] = defaultdict(int)
    for n in range(1, ORDER + 1):
        for gram, count in counts[n].items():
            totals[gram[:-1]] += count if len(gram) == n else 0
            kinds[gram[:-1]] += 1

    def probability(gram: bytes) -> float:
        lower = probability(gram[1:]) if len(gram) > 1 else 1 / 256
        if not totals.get(gram[:-1]):
            return lower
        own = counts[len(gram)]
        once, twice = sum(c == 1 for c in own.values()), sum(c == 2 for c in own.values())
        discount = once / (once + 2 * twice) if once else 0.5
        total = totals[gram[:-1]]
        return max(own[gram] - discount, 0) / total + discount * kinds[gram[:-1]] / total * lower

    bits = [-math.log2(probability(held[max(i - ORDER + 1, 0) : i + 1])) for i in range(len(held))]
    return sum(bits) / len(bits)


TEXT = st.binary(min_size=0, max_size=60).map(lambda data: bytes(b % 5 + 97 for b in data))


@settings(max_examples=60, deadline=None)
@given(TEXT, TEXT.filter(len))
def test_a_5gram_is_that_of_its_definition(train: bytes, held: bytes) -> None:
    assert byte_5gram(train, held) == pytest.approx(brute(train, held), rel=1e-9)


def test_probabilities_of_all_bytes_add_up_to_one() -> None:
    train = b"the cat sat on the mat, and the rat sat on the cat"
    for before in (b"the ", b"zzzz", b" sat"):
        whole = 0.0
        for byte in range(256):
            held = before + bytes([byte])
            bits = byte_5gram(train, held) * 5 - byte_5gram(train, before) * 4
            whole += 2**-bits
        assert whole == pytest.approx(1.0, rel=1e-9)


def test_what_is_known_costs_little_and_noise_costs_eight_bits() -> None:
    text = b"a line that stands there again and again.\n" * 50
    assert byte_5gram(text, text) < 0.2
    assert byte_5gram(b"", bytes(range(256))) == pytest.approx(8.0)
    assert math.isnan(byte_5gram(text, b""))
    assert xz(text, text) < 0.3
    one, both = (len(lzma.compress(data, preset=9)) for data in (b"abc", b"abcxyz"))
    assert xz(b"abc", b"xyz") == 8 * (both - one) / 3
