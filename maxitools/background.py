"""Sky level and noise of an image, over a grid of meshes."""

import numpy as np
from scipy import interpolate, ndimage


def clipped_statistics(pixels, n_sigma=3.0, max_iterations=10):
    """
    Median and standard deviation of values, sigma-clipped about the median.

    Parameters
    ----------
    pixels : ndarray
        Values in any shape and unit.
    n_sigma : float
        Values further than this many standard deviations from the median are
        dropped, until none is left to drop.
    max_iterations : int
        Rounds of clipping at the most.

    Returns
    -------
    median, std : float
        Of the values that are left.
    """
    values = np.sort(pixels, axis=None)
    # Once sorted, what survives is a slice: its moments are differences of cumulative sums.
    offset = values[values.size // 2]
    deviations = values.astype(np.float64) - offset
    sums = np.concatenate(([0.0], np.cumsum(deviations)))
    squares = np.concatenate(([0.0], np.cumsum(deviations * deviations)))
    first, last = 0, values.size
    for _ in range(max_iterations):
        n = last - first
        median = 0.5 * (deviations[first + (n - 1) // 2] + deviations[first + n // 2])
        mean = (sums[last] - sums[first]) / n
        std = np.sqrt(max((squares[last] - squares[first]) / n - mean * mean, 0.0))
        limits = np.searchsorted(deviations, (median - n_sigma * std, median + n_sigma * std))
        kept = max(first, limits[0]), max(min(last, limits[1]), first + 1)
        if std == 0 or kept == (first, last):
            break
        first, last = kept
    return float(offset + median), float(std)


def _windows(size, mesh):
    """Starts and common width of the meshes along an axis: equal windows that cover it."""
    n = max(1, round(size / mesh))
    width = -(-size // n)
    return np.round(np.linspace(0, size - width, n)).astype(int), width


def mesh_grid(image, mesh):
    """
    Sky level and noise in each mesh of an image.

    Meshes of which more than half is exactly zero (gaps, pixels without data)
    take the values of the nearest mesh that has data.

    Parameters
    ----------
    image : ndarray, (H, W)
        Finite pixel values.
    mesh : int
        Side of a mesh in pixels; rounded so that equal meshes cover the image.

    Returns
    -------
    level, noise : ndarray, float32, (rows, columns)
        3-sigma-clipped median and standard deviation of each mesh, in the
        image's unit.
    centres : tuple of two ndarray
        Pixel coordinates of the mesh centres along each axis.
    """
    (y_starts, height), (x_starts, width) = (_windows(size, mesh) for size in image.shape)
    grid = np.zeros((2, len(y_starts), len(x_starts)), np.float32)
    blank = np.zeros(grid.shape[1:], bool)
    for i, y in enumerate(y_starts):
        for j, x in enumerate(x_starts):
            pixels = image[y : y + height, x : x + width]
            blank[i, j] = 2 * np.count_nonzero(pixels) < pixels.size
            grid[:, i, j] = (0, 0) if blank[i, j] else clipped_statistics(pixels)
    if blank.any() and not blank.all():
        nearest = ndimage.distance_transform_edt(blank, return_distances=False, return_indices=True)
        grid = grid[:, nearest[0], nearest[1]]
    centres = y_starts + 0.5 * (height - 1), x_starts + 0.5 * (width - 1)
    return grid[0], grid[1], centres


def interpolate_grid(grid, centres, shape):
    """
    Bilinear map of a grid over an image; constant beyond the outer centres.

    Parameters
    ----------
    grid : ndarray, (rows, columns)
        Values at the mesh centres.
    centres : tuple of two ndarray
        Pixel coordinates of the centres along each axis.
    shape : tuple of int
        Shape (H, W) of the map.

    Returns
    -------
    ndarray, float32, (H, W)
    """
    weights = []
    for positions, size in zip(centres, shape, strict=True):
        inside = np.clip(np.arange(size), positions[0], positions[-1])
        if len(positions) == 1:
            weights.append(np.ones((size, 1), np.float32))
        else:
            hats = interpolate.make_interp_spline(positions, np.eye(len(positions)), k=1)
            weights.append(hats(inside).astype(np.float32))
    return weights[0] @ grid.astype(np.float32) @ weights[1].T
