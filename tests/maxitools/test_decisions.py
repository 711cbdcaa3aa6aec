"""Prior modification, thresholds, grown and joined masks."""

import numpy as np
import pytest
from scipy import ndimage

from maxitools.decisions import Growth, joined, modify, prior_factor, raised, raw_threshold


def test_modification_follows_bayes():
    # A detector that is right in 90 % of cases at equal priors, for one case in 1000.
    expected = 0.9 * 0.001 / (0.9 * 0.001 + 0.1 * 0.999)
    assert np.isclose(modify(0.9, prior_factor(0.5, 0.001)), expected)


def test_same_prior_changes_nothing():
    q = np.linspace(0, 1, 11)
    np.testing.assert_allclose(modify(q, prior_factor(0.03, 0.03)), q)


def test_raw_threshold_decides_as_the_modified_one():
    q = np.random.default_rng(1).random(10000)
    for prior, threshold in ((1e-6, 0.4), (0.9, 0.27), (0.01, 0.5), (0.5, 0.99)):
        factor = prior_factor(0.1, prior)
        modified = modify(q, factor) > threshold
        np.testing.assert_array_equal(q > raw_threshold(threshold, factor), modified)
    assert (q > raw_threshold(0.0, 3.0)).all()
    assert not (q > raw_threshold(1.0, 3.0)).any()


def test_answers_rise_to_the_highest_beside_them_but_not_above_the_most():
    answers, most = np.random.default_rng(1).random((2, 30, 40))
    most = np.maximum(answers, most)
    expected = np.minimum(ndimage.grey_dilation(answers, (3, 3)), most)
    np.testing.assert_array_equal(raised(answers, most), expected)
    np.testing.assert_array_equal(raised(answers > 0.9, most > 0.9), expected > 0.9)


def test_single_mask_adds_codes_and_background_adds_none():
    planes = np.array([[[1, 1, 0]], [[0, 1, 0]], [[0, 0, 1]]], np.uint8)
    one = joined(planes, [1, 4096, 0])
    np.testing.assert_array_equal(one, [[1, 4097, 0]])
    assert one.dtype == np.int16


@pytest.mark.parametrize("distance", [1, 3, 50])
@pytest.mark.parametrize("heights", [[60], [1, 1, 1, 57], [20, 25, 15], [1] * 60])
def test_growth_does_not_see_where_strips_meet(distance, heights):
    planes = (np.random.default_rng(3).random((3, 60, 40)) < 0.003).astype(np.uint8)
    growth = Growth(distance, [True, False, True], 60)
    grown, first = np.full_like(planes, 9), 0
    for height in heights:
        for rows, strip in growth.add(planes[:, first : first + height]):
            grown[:, rows] = strip
        first += height
    expected = ndimage.grey_dilation(planes, (1, 2 * distance + 1, 2 * distance + 1))
    expected[1] = planes[1]
    np.testing.assert_array_equal(grown, expected)
