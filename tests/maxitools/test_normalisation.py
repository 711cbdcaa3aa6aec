"""What our network sees, against what was put in."""

import numpy as np
import pytest
from conftest import field

from maxitools.normalisation import two_scale


def test_two_scales_see_small_and_large():
    image = field((640, 768))
    image[:, :256] += 300
    image[300, 500] += 200
    pixels = two_scale(image, mesh=64)
    assert np.median(np.abs(pixels[50:590, 350:, 0])) == pytest.approx(0.6745, abs=0.05)
    assert 15 < pixels[300, 500, 0] < 25
    assert np.median(pixels[:, :200, 1]) == pytest.approx(30, rel=0.1)
    assert abs(np.median(pixels[:, 350:, 1])) < 1
