"""Which pixels are data."""

import numpy as np
import pytest

from maxitools.pixels import cleaned, has_data


@pytest.mark.parametrize("unit", [1.0, 1e-22, 1e21])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.6e38, -3.4e38])
@pytest.mark.parametrize("share", [0.0001, 0.3, 0.9])
def test_what_is_no_data_becomes_zero(unit, value, share):
    rng = np.random.default_rng(1)
    image = (rng.normal(0, 10, (200, 300)) * unit).astype("f4")
    bad = rng.random(image.shape) < share
    expected = np.where(bad, 0, image)
    image[bad] = value
    np.testing.assert_array_equal(cleaned(image), expected)


def test_ordinary_pixels_stay_as_they_are():
    image = np.random.default_rng(1).normal(1000, 10, (200, 300)).astype("f4")
    image[:5] = 65535
    image[100] = 1e6
    assert cleaned(image) is image


def test_double_precision_beyond_single_is_no_data():
    image = np.full((20, 30), 1e3)
    image[3, 4] = 1e300
    assert cleaned(image)[3, 4] == 0 and cleaned(image)[0, 0] == 1e3


@pytest.mark.parametrize("value", [0, np.nan, np.inf, -np.inf, 1.6e38])
def test_image_of_nothing_else_has_no_data(value):
    image = np.full((20, 30), value, "f4")
    assert not has_data(image)
    image[7, 8] = -1e-30
    assert has_data(image)
