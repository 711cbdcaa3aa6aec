"""What the published networks see, against what was put in."""

import numpy as np
import pytest
from conftest import field

from maxitools.published.normalisation import normalise_1_0, normalise_1_2


@pytest.mark.parametrize("normalise", [normalise_1_0, normalise_1_2])
def test_published_normalisations_remove_a_gradient(normalise):
    ramp = np.linspace(0, 20, 1000, dtype="f4")[:, np.newaxis]
    image = np.random.default_rng(4).normal(1000, 10, (1000, 1200)).astype("f4") + ramp
    pixels = normalise(image)(0, 1000)
    assert pixels.shape == (1000, 1200, 1)
    assert pixels.dtype == np.float32
    inner = pixels[300:700, 300:900]
    assert abs(inner.mean()) < 0.05
    np.testing.assert_allclose(inner.std(), 1, atol=0.05)
    np.testing.assert_array_equal(normalise(image)(440, 460), pixels[440:460])


def test_nan_and_saturation_are_clipped_as_published():
    image = field((800, 800))
    other = image.copy()
    image[100, 100], other[100, 100] = np.nan, 0
    image[200, 200], other[200, 200] = 1e6, 80000
    image[300, 300], other[300, 300] = -1e6, -500
    np.testing.assert_array_equal(normalise_1_2(image)(0, 800), normalise_1_2(other)(0, 800))
