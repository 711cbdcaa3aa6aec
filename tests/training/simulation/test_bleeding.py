"""Saturated stars: charge is kept, and all that is full, or nearly so, is marked."""

import numpy as np

from training.simulation import bleeding

WELL = 1000.0


def star(column=20, row=60, width=3, peak=60.0):
    charge = np.zeros((121, 41))
    charge[row - 1 : row + 2, column - width // 2 : column + width // 2 + 1] = peak * WELL / 3
    return charge


def draws(charge, count=60):
    for seed in range(count):
        yield bleeding.saturate(np.random.default_rng(seed), charge, WELL)


def test_no_pixel_holds_more_than_the_well_and_full_ones_are_marked():
    for filled, saturated in draws(star()):
        assert filled.max() <= WELL
        assert saturated[filled >= WELL].all()
        # What is marked beyond them are tips.
        assert (filled[saturated] >= 0.5 * WELL).all()


def test_bleeding_keeps_the_charge_where_nothing_is_lost():
    charge = np.zeros((101, 5))
    charge[50, 2] = 10 * WELL
    kept = [s.sum() for f, s in draws(charge, 300) if np.isclose(f.sum(), charge.sum())]
    assert kept
    assert set(kept) <= {9, 10, 11}


def test_columns_are_longest_through_the_middle_of_a_star():
    charge = star(width=5)
    charge[:, [18, 19, 21, 22]] *= 0.2
    longest = [
        saturated.sum(axis=0).argmax()
        for _, saturated in draws(charge)
        if saturated.any(axis=1).sum() > 20 and not saturated[0].any() and not saturated[-1].any()
    ]
    assert len(longest) > 10
    assert set(longest) == {20}


def test_some_columns_come_in_from_outside_without_a_star():
    entering = [s for _, s in draws(np.zeros((80, 80)), 300) if s.any()]
    assert entering
    for saturated in entering:
        edges = (saturated[0], saturated[-1], saturated[:, 0], saturated[:, -1])
        assert any(edge.any() for edge in edges)


def test_an_amplifier_that_recovers_leaves_trails_and_the_saturated_pixels_as_they_are():
    saturated = np.zeros((60, 60), bool)
    saturated[20:30, 20:24] = True
    left = [bleeding.aftermath(np.random.default_rng(seed), saturated, 10.0) for seed in range(30)]
    assert all((part[saturated] == 0).all() for part in left)
    # On one side, and darker than the sky most often.
    dark = [np.sort([part[:20].min(), part[30:].min()]) for part in left]
    assert any(darker < -1 and abs(other) < 1e-3 for darker, other in dark)
