"""Sky level and noise, against what was put in and against astropy and scipy."""

import numpy as np
import pytest
from astropy.stats import sigma_clip

from maxitools.background import (
    _replace_outliers,
    clipped_statistics,
    mesh_grid_1_0,
    mesh_grid_1_2,
    spline_rows,
)
from maxitools.normalisation import published_1_0_rows, published_1_2_rows, two_scale


def field(shape, level=1000.0, noise=10.0, seed=0):
    """Flat sky with noise and one star in 200 pixels."""
    rng = np.random.default_rng(seed)
    image = rng.normal(level, noise, shape)
    image[rng.random(shape) < 0.005] += 3000
    return image.astype("f4")


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


def test_spline_passes_through_its_grid_and_stays_level_beyond():
    grid = np.random.default_rng(1).random((6, 9))
    centres = 50 + 200.0 * np.arange(6), 30 + 200.0 * np.arange(9)
    rows = spline_rows(grid, centres, (1100, 1700))
    np.testing.assert_allclose(rows(0, 1100)[50::200, 30::200], grid, atol=1e-12)
    np.testing.assert_array_equal(rows(1060, 1100), np.tile(rows(1050, 1051), (40, 1)))
    np.testing.assert_array_equal(rows(333, 444), rows(0, 1100)[333:444])


def test_published_meshes_measure_sky_and_noise():
    level, noise, centres = mesh_grid_1_2(field((1001, 1203)))
    assert level.shape == noise.shape == (7, 8)
    # Five meshes along 1001 pixels leave one over, half of it, rounded, at the start.
    assert (centres[0][1], centres[1][1]) == (100.0, 101.0)
    np.testing.assert_allclose(level[1:-1, 1:-1], 1000, atol=1)
    np.testing.assert_allclose(noise[1:-1, 1:-1], 10, atol=0.5)
    # The median sees zeros around the grid: the corners of the border are lost.
    assert level[0, 0] == noise[-1, -1] == 0
    level, centres = mesh_grid_1_0(field((1001, 1203)))
    assert centres[0][1] == centres[1][1] == 100.0
    np.testing.assert_allclose(level, 1000, atol=1)


def test_mesh_of_a_bright_object_takes_its_neighbours_sky():
    image = field((1000, 1000))
    image[400:600, 400:600] += 5000
    level, _, _ = mesh_grid_1_2(image)
    np.testing.assert_allclose(level[1:-1, 1:-1], 1000, atol=1)


def test_what_replaced_an_outlier_counts_for_the_next_one():
    grid = np.add.outer(np.arange(6.0), np.arange(6.0) ** 2)
    grid[2, 2:4] = 900
    found = _replace_outliers(grid)
    around = grid[1:4, 1:4]
    first = around[around < 900].mean()
    around = np.append(grid[1:4, 2:5][grid[1:4, 2:5] < 900], first)
    np.testing.assert_allclose(found[2, 2:4], (first, around.mean()))
    found[2, 2:4] = 900
    np.testing.assert_array_equal(found, grid)


def test_empty_meshes_have_level_zero_and_noise_one():
    level, noise, _ = mesh_grid_1_2(np.zeros((1000, 1000), "f4"))
    assert not level.any()
    np.testing.assert_array_equal(noise[1:-1, 1:-1], 1)


@pytest.mark.parametrize("recipe", [published_1_0_rows, published_1_2_rows])
def test_published_normalisations_remove_a_gradient(recipe):
    ramp = np.linspace(0, 20, 1000, dtype="f4")[:, np.newaxis]
    image = np.random.default_rng(4).normal(1000, 10, (1000, 1200)).astype("f4") + ramp
    pixels = recipe(image)(0, 1000)
    assert pixels.shape == (1000, 1200, 1)
    assert pixels.dtype == np.float32
    inner = pixels[300:700, 300:900]
    assert abs(inner.mean()) < 0.05
    np.testing.assert_allclose(inner.std(), 1, atol=0.05)
    np.testing.assert_array_equal(recipe(image)(440, 460), pixels[440:460])


def test_nan_and_saturation_are_clipped_as_published():
    image = field((800, 800))
    other = image.copy()
    image[100, 100], other[100, 100] = np.nan, 0
    image[200, 200], other[200, 200] = 1e6, 80000
    image[300, 300], other[300, 300] = -1e6, -500
    np.testing.assert_array_equal(
        published_1_2_rows(image)(0, 800), published_1_2_rows(other)(0, 800)
    )


def test_two_scales_see_small_and_large():
    image = field((640, 768))
    image[:, :256] += 300
    image[300, 500] += 200
    pixels = two_scale(image, mesh=64)
    assert np.median(np.abs(pixels[50:590, 350:, 0])) == pytest.approx(0.6745, abs=0.05)
    assert 15 < pixels[300, 500, 0] < 25
    assert np.median(pixels[:, :200, 1]) == pytest.approx(30, rel=0.1)
    assert abs(np.median(pixels[:, 350:, 1])) < 1
