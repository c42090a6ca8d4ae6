"""The choice among learning rates."""

from __future__ import annotations

import math

from luthier.comparison.learning_rate_search import Tried, beyond, chosen, doubts, settled
from luthier.core.phrases import Phrase

RIGHT, EVEN = (1.0,) * 54 + (0.0,) * 10, (1.0, 0.0) * 32


def test_a_collapsed_model_is_not_taken_for_its_even_odds() -> None:
    """Losses of an adapter on SST-2. Seen failing with the lowest loss."""
    tried = [Tried(3e-4, 0.832, RIGHT), Tried(1e-3, 0.802, RIGHT), Tried(3e-3, 0.692, EVEN)]
    assert chosen(tried) == 1e-3


def test_the_loss_decides_where_rows_do_not_clearly() -> None:
    """Nested rows: 2 of 64 fewer right are 1.4 standard errors, 4 are 2.1. Seen failing with 1 and with 3."""
    near, far = (1.0,) * 52 + (0.0,) * 12, (1.0,) * 50 + (0.0,) * 14
    assert chosen([Tried(1.0, 0.9, RIGHT), Tried(2.0, 0.5, near), Tried(3.0, 0.1, far)]) == 2.0


def test_a_rate_that_has_not_moved_is_not_taken_for_luck() -> None:
    """The last blocks on 12 labels: 16, 10 and 12 of 64 right. Seen failing with the most rows right."""
    rows = [tuple(float(i % 4 == 0) for i in range(64)), (1.0,) * 10 + (0.0,) * 54, (0.0,) * 52 + (1.0,) * 12]
    assert chosen([Tried(5e-5, 9.307, rows[0]), Tried(2e-4, 4.877, rows[1]), Tried(5e-4, 1.858, rows[2])]) == 5e-4


def test_without_scores_the_lowest_loss() -> None:
    assert chosen([Tried(1.0, math.nan), Tried(2.0, 0.5), Tried(3.0, 0.6)]) == 2.0
    assert chosen([Tried(1.0, 0.4), Tried(2.0, 0.5, RIGHT)]) == 1.0, "a search of an earlier version went on"


def test_one_more_rate_where_the_best_is_the_last_of_the_range() -> None:
    """Seen failing with the range's other end, and with the step of the other end."""
    losses = {"low": (0.4, 0.5, 0.6), "high": (0.6, 0.5, 0.4), "middle": (0.5, 0.4, 0.6)}
    found = {
        name: beyond([Tried(r, loss) for r, loss in zip((2e-5, 5e-5, 1e-4), values, strict=True)])
        for name, values in losses.items()
    }
    assert found == {"low": 8e-6, "high": 2e-4, "middle": None}
    assert beyond([Tried(1.0, 0.5)]) is None


def test_a_rate_beyond_the_range_must_be_better_by_more_than_a_shade() -> None:
    """Losses of LLaMA-Adapter and IA3 on SST-2. Seen failing with the lowest loss of all."""
    adapter = [Tried(1e-2, 0.650), Tried(3e-2, 0.677), Tried(1e-1, 0.721)]
    assert settled(adapter, [Tried(3.3e-3, 0.646)]) == 1e-2
    ia3 = [Tried(1e-2, 0.440), Tried(3e-2, 0.518), Tried(1e-1, 0.687)]
    assert settled(ia3, [Tried(3.3e-3, 0.370)]) == 3.3e-3 and settled(ia3, []) == 1e-2
    assert settled([Tried(1.0, 0.6, RIGHT)], [Tried(2.0, 0.1, EVEN)]) == 1.0, "a collapsed one"


def test_nothing_above_the_range_is_looked_at_after_a_few_steps() -> None:
    """LoRA at 9e-3 led by loss and by rows after nine steps of three rows, and ended at 0.094."""

    def lora(steps: int) -> list[Tried]:
        return [Tried(rate, loss, steps=steps) for rate, loss in ((5e-4, 7.0), (1e-3, 5.2), (3e-3, 4.0))]

    assert beyond(lora(9)) is None and beyond(lora(16)) == beyond(lora(0)) == 9e-3
    low = [Tried(rate, loss, steps=9) for rate, loss in ((5e-4, 1.0), (1e-3, 2.0))]
    assert beyond(low) == 2.5e-4, "a lower rate harms nobody"


def test_a_rate_beyond_the_range_must_not_have_fewer_rows_right() -> None:
    """LoRA and all layers on 12 labels, nine steps each: 9e-3 ended at 0.189 and 3e-3 at 0.557, 2e-4 at 0.642 and
    1e-4 at 0.528. Seen failing with the loss alone."""

    def rows(right: int, since: int = 0) -> tuple[float, ...]:
        return tuple(float(since <= row < since + right) for row in range(64))

    lora = [Tried(1e-3, 4.442, rows(21)), Tried(3e-3, 2.109, rows(19))]
    far = Tried(9e-3, 1.66, rows(12, since=30))  # other rows: so many fewer may be chance
    assert chosen([*lora, far]) == 9e-3, "not clearly worse"
    assert settled(lora, [far]) == 3e-3
    full = [Tried(5e-5, 4.146, rows(21)), Tried(1e-4, 2.685, rows(21))]
    assert settled(full, [Tried(2e-4, 1.877, rows(22))]) == 2e-4


def test_a_rate_that_diverged_is_out_and_its_scores_decide_nothing() -> None:
    tried = [Tried(1.0, 0.8, RIGHT), Tried(2.0, 0.7, EVEN), Tried(3.0, math.inf)]
    assert chosen(tried) == 1.0
    assert chosen([Tried(1.0, math.inf), Tried(2.0, math.inf)]) == 1.0, "the final run says why"


def test_a_search_that_says_little_is_said_to_say_little() -> None:
    """Two classes of Chinese reviews: one step at a tenth of each rate, and every row gets the commoner label."""
    common = (1.0,) * 15 + (0.0,) * 5
    tried = [Tried(5e-4, 3.719, common, 1), Tried(1e-3, 3.711, common, 1), Tried(9e-3, 3.066, common, 1)]
    nothing = {"said_rate_untuned": (1.0, 0.0) * 10, "said_rate_common": common}
    few, right = doubts(tried, nothing)
    assert few == "learning rates were judged after one step: a larger budget would tell more"
    assert right == "no learning rate had more of 20 validation rows right than the commonest label (75 %)"
    better = Tried(3e-3, 1.0, (1.0,) * 16 + (0.0,) * 4, 8)
    assert doubts([*tried, better], nothing) == []
    assert doubts([Tried(1.0, 0.5)], {}) == [], "an earlier version kept no steps"
    (few,) = doubts([Tried(1.0, 0.5, (), 7)], nothing)
    assert few == "learning rates were judged after 7 steps: a larger budget would tell more"
    _, untuned = doubts(tried, {"said_rate_untuned": common})
    assert untuned == "no learning rate had more of 20 validation rows right than the untuned model (75 %)"
    for note in (few, right, untuned):
        assert isinstance(note, Phrase) and "validation" not in note.text("zh")
