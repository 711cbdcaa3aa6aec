"""Fields of stars and galaxies."""

import numpy as np

from training.simulation.fields import galaxies, render_stars
from training.simulation.optics import random_psf

SHAPE = 60, 70


def test_a_crowded_field_is_the_sum_of_sparse_ones():
    rng = np.random.default_rng(1)
    psf = random_psf(rng, fwhm=2.5, wide=False)
    x, y = rng.uniform(-20, 90, 400), rng.uniform(-20, 80, 400)
    flux = rng.uniform(10, 1000, 400)
    together = render_stars(SHAPE, x, y, flux, psf)
    parts = [
        render_stars(SHAPE, x[part], y[part], flux[part], psf)
        for part in np.split(np.arange(400), 10)
    ]
    np.testing.assert_allclose(together, np.sum(parts, axis=0), atol=1e-3)


def test_big_galaxies_shine_and_take_no_light_away():
    rng = np.random.default_rng(2)
    psf = random_psf(rng, fwhm=3.0, wide=False)
    for _ in range(8):
        light = galaxies(rng, (120, 120), psf, noise=10.0, density=1, big=2)
        assert np.isfinite(light).all()
        assert light.min() >= 0
        assert light.max() > 0
