"""
Promise 10: what a hostile server sends ends in the right error and costs no more memory than its
budget; and docs/bounds.md says the same.
"""

import pytest

import bombs


@pytest.mark.unwrapped
@pytest.mark.parametrize("bomb", bombs.BOMBS, ids=lambda b: f"{b.step}: {b.name}")
def test_bomb(bomb):
    outcome = bombs.explode(bomb)
    assert outcome.ends == bomb.ends, outcome
    if outcome.peak is not None:
        assert outcome.peak <= bomb.budget, outcome


@pytest.mark.unwrapped
def test_the_measure():
    """It sees what a message costs that lies in memory: it would see more than the budget."""
    bomb = next(b for b in bombs.BOMBS if b.name == "16 MiB announced, 1 MiB comes")
    outcome = bombs.explode(bomb)
    assert outcome.peak is None or outcome.peak > 1 << 20


@pytest.mark.quick
def test_the_paper():
    """Each bomb has its row, with the budget that is asserted; nothing seen is above it."""
    with open(bombs.PAPER, encoding="utf-8") as file:
        said = bombs.rows(file.read())
    wanted = {(b.step, b.name): (b.ends, b.budget) for b in bombs.BOMBS}
    assert {key: value[:2] for key, value in said.items()} == wanted
    assert all(seen <= allowed for _, allowed, seen in said.values())
