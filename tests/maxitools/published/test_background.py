"""Sky level and noise as published, against what was put in."""

import numpy as np
from conftest import field

from maxitools.published.background import (
    _replace_outliers,
    mesh_grid_1_0,
    mesh_grid_1_2,
    spline_rows,
)


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
