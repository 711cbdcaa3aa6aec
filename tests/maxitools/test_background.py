"""Sky level and noise, against astropy."""

import numpy as np
from astropy.stats import sigma_clip
from conftest import field

from maxitools.background import clipped_statistics


def test_clipping_is_that_of_astropy():
    for seed in range(5):
        pixels = field((200, 200), seed=seed)
        pixels += np.random.default_rng(seed).exponential(15, pixels.shape).astype("f4")
        kept = sigma_clip(pixels.astype(float), sigma=3, maxiters=None, masked=False)
        found = clipped_statistics(pixels, max_iterations=1000)
        np.testing.assert_allclose(found.median, np.median(kept), rtol=1e-7)
        np.testing.assert_allclose(found.mean, kept.mean(), rtol=1e-7)
        np.testing.assert_allclose(found.std, kept.std(), rtol=1e-6)
        np.testing.assert_allclose(found.unclipped_std, pixels.std(dtype=float), rtol=1e-6)
