"""Reduced frames: what is no contaminant is not called one, and what was mended is forgotten."""

import numpy as np
import pytest

pytest.importorskip("galsim", reason="the [training] extra is not installed")

from training.simulation import reduction
from training.simulation.scenes import BIT, Detector, Labels, Sources, _reduction, draw_scene

SHAPE = 160, 160
NOISE, LEVEL = 10.0, 1000.0
NO_STARS = np.zeros(0), np.zeros(0), np.zeros(0)


def sky(rng):
    return LEVEL + NOISE * rng.standard_normal(SHAPE, dtype=np.float32)


def has(bits, name):
    return bits & BIT[name] > 0


@pytest.mark.parametrize("seed", range(8))
def test_steps_and_borders_are_no_overscan_and_no_other_class(seed):
    rng = np.random.default_rng(seed)
    detector = Detector(sky=500.0, read_noise=5.0, well=1e5, infrared=seed % 2 == 0)
    _, positive, _ = draw_scene(
        rng, SHAPE, Sources(), detector=detector, stars=NO_STARS, contents={"reduction"}
    )
    for name in ("OV", "CR", "HCL", "DCL", "HP", "DP", "P", "TRL", "FR", "NEB"):
        assert not has(positive, name).any()


def test_amplifiers_differ_by_steps():
    offsets = [
        reduction.amplifiers(np.random.default_rng(seed), SHAPE, NOISE, LEVEL) for seed in range(20)
    ]
    jumps = [np.abs(np.diff(o, axis=a)).max() for o in offsets for a in (0, 1)]
    assert np.mean(np.array(jumps) > 2 * NOISE) > 0.3


def test_a_reset_starts_anew_somewhere():
    for seed in range(10):
        ramp = reduction.reset_pattern(np.random.default_rng(seed), SHAPE, NOISE)
        assert sorted(ramp.shape) == [1, 160]
        assert np.abs(np.diff(ramp.ravel())).max() > 0


def test_interpolated_columns_have_less_noise_than_sky():
    rng = np.random.default_rng(2)
    image = sky(rng)
    before = image.copy()
    mended = reduction.bridged(rng, image, 12)
    np.testing.assert_array_equal(image[~mended], before[~mended])
    assert image[mended].std() < 0.9 * NOISE


def test_stripes_beyond_bleeding_are_interpolated_but_for_few_rows_and_nothing_else_is_touched():
    saturated = np.zeros(SHAPE, bool)
    saturated[60:100, 78:82] = True
    rims = left = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        image = np.where(saturated, 6e4, sky(rng)).astype(np.float32)
        before = image.copy()
        mended = reduction.mended_bleeding(rng, image, saturated)
        np.testing.assert_array_equal(image[~mended], before[~mended])
        assert not mended[:, :65].any()
        beyond = mended & ~saturated
        beyond[60:100] = False  # what is left of an outline
        bright = beyond & (image > LEVEL + 6 * NOISE)
        assert bright.any(axis=1).sum() <= 4
        rims += beyond.any()
        left += bright.any()
    assert rims > 10
    assert left > 3


def test_a_patch_takes_the_level_of_what_surrounds_it():
    rng = np.random.default_rng(3)
    image = sky(rng)
    where = reduction.patches(rng, SHAPE)
    image[where] = 1e6
    constant = reduction.patched(rng, image, where, NOISE)
    assert where.any()
    assert not constant
    assert np.abs(image[where] - LEVEL).max() < 6 * NOISE


def test_what_was_mended_has_no_hits_and_no_defects_any_more():
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels = Labels(SHAPE)
        labels.positive[40:120, 80] = BIT["HCL"]
        labels.positive[20, 20:60] = BIT["CR"]
        before = labels.positive.copy()
        image = sky(rng)
        _reduction(rng, image, Detector(LEVEL, 1.0, 1e5, False), labels)
        assert not (labels.positive & ~before).any()
        found += (labels.positive != before).any()
    assert found > 5


def test_a_blank_border_holds_one_value_and_the_middle_is_left_alone():
    blanks = 0
    for seed in range(20):
        image = sky(np.random.default_rng(seed))
        blank, dim = reduction.trimmed_edges(np.random.default_rng(seed), image, NOISE, LEVEL)
        assert not (blank | dim)[30:-30, 30:-30].any()
        assert len(np.unique(image[blank])) <= 1
        blanks += blank.any()
    assert blanks > 5


def test_resampling_leaves_things_where_they_are():
    image = np.zeros((101, 101), np.float32)
    image[10:91:10, 10:91:10] = 1.0
    for seed in range(10):
        moved = reduction.resampled(np.random.default_rng(seed), image)
        for y in range(10, 91, 20):
            part = moved[y - 4 : y + 5, 46:55]
            assert part.sum() == pytest.approx(1, abs=0.05)
            rows, columns = np.indices(part.shape) - 4
            assert np.hypot((rows * part).sum(), (columns * part).sum()) < 0.75


def test_light_that_is_lost_lies_between_a_twentieth_and_all():
    for seed in range(20):
        share = reduction.lost_light(np.random.default_rng(seed), SHAPE)
        assert share.shape == SHAPE
        assert 0.05 <= share.min() < share.max() <= 1


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("backwards", [False, True])
def test_charge_that_lags_behind_is_kept_and_lies_on_one_side(axis, backwards):
    image = np.zeros((101, 101), np.float32)
    image[50, 50] = 1000.0
    after = reduction.Lag(axis, backwards, share=0.1, length=4.0)(image)
    assert after.sum() == pytest.approx(1000, rel=1e-3)
    assert after[50, 50] == pytest.approx(900)
    line = np.moveaxis(after, axis, 0)[:, 50]
    behind, before = (line[:50], line[51:]) if backwards else (line[51:], line[:50])
    assert behind.sum() == pytest.approx(100, rel=1e-3)
    assert not before.any()
