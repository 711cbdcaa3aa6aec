"""Sky level and noise of an image, over a grid of meshes."""

from collections import namedtuple

import numpy as np
from scipy import ndimage

ClippedStatistics = namedtuple("ClippedStatistics", "median mean std unclipped_std low high")


def clipped_statistics(pixels, n_sigma=3.0, max_iterations=10):
    """
    Statistics of values, sigma-clipped about the median.

    As `astropy.stats.sigma_clipped_stats` gives them, from one sort: tens of times
    faster on the thousands of meshes of an image.

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
    ClippedStatistics
        Median, mean and standard deviation of the values that are left, the standard
        deviation of all, and the lowest and highest value left.
    """
    values = np.sort(pixels, axis=None)
    # Once sorted, what survives is a slice.
    offset = values[values.size // 2]
    single = np.result_type(values, np.float32).type
    deviations = values.astype(np.float64) - offset
    first, last = 0, values.size
    unclipped_std = None
    for _ in range(max_iterations):
        n = last - first
        left = deviations[first:last]
        median = 0.5 * (left[(n - 1) // 2] + left[n // 2])
        mean = left.sum() / n
        std = np.sqrt(max(np.einsum("i,i", left, left) / n - mean * mean, 0.0))
        unclipped_std = std if unclipped_std is None else unclipped_std
        # Rounded as the values are: a limit that falls on one keeps it.
        centre, reach = float(single(offset + median)), n_sigma * float(single(std))
        low = np.searchsorted(values, single(centre - reach))
        high = np.searchsorted(values, single(centre + reach), "right")
        kept = max(first, low), max(min(last, high), first + 1)
        if std == 0 or kept == (first, last):
            break
        first, last = kept
    return ClippedStatistics(
        float(single(offset + median)),
        float(offset + mean),
        float(std),
        float(unclipped_std),
        values[first],
        values[last - 1],
    )


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
            statistics = clipped_statistics(pixels)
            # Counting takes its time, and when most pixels are zero so is their median.
            blank[i, j] = statistics.median == 0 and 2 * np.count_nonzero(pixels) < pixels.size
            if not blank[i, j]:
                grid[:, i, j] = statistics.median, statistics.std
    if blank.any() and not blank.all():
        nearest = ndimage.distance_transform_edt(blank, return_distances=False, return_indices=True)
        grid = grid[:, nearest[0], nearest[1]]
    centres = y_starts + 0.5 * (height - 1), x_starts + 0.5 * (width - 1)
    return grid[0], grid[1], centres


class LinearMap:
    """
    Bilinear map of a grid over an image, constant beyond the outer centres.

    Evaluated a few rows at a time. No linear algebra: libraries of it start threads, which
    then spin while others could use the cores.

    Parameters
    ----------
    grid : ndarray, (rows, columns)
        Values at the mesh centres.
    centres : tuple of two ndarray
        Pixel coordinates of the centres along each axis.
    shape : tuple of int
        Shape (H, W) of the image.
    """

    def __init__(self, grid, centres, shape):
        grid = grid.astype(np.float32)
        y, x = (np.arange(size) for size in shape)
        place = np.interp(y, centres[0], np.arange(len(grid)))
        self._before = np.floor(place).astype(int)
        self._share = (place - self._before).astype(np.float32)[:, np.newaxis]
        self._lines = np.stack([np.interp(x, centres[1], line) for line in grid]).astype(np.float32)
        # From each line of meshes to the next; none after the last.
        self._steps = np.diff(self._lines, axis=0, append=self._lines[-1:])

    def __call__(self, first, last):
        """Rows [first, last) of the map, float32, (last - first, W)."""
        before = self._before[first:last]
        rows = self._steps[before]
        rows *= self._share[first:last]
        rows += self._lines[before]
        return rows


def interpolate_grid(grid, centres, shape):
    """The whole of a `LinearMap`, float32, of the given shape (H, W)."""
    return LinearMap(grid, centres, shape)(0, shape[0])


def _whole_meshes(size, mesh, centred):
    """Start of the first whole mesh along an axis, their number and their side."""
    if size < mesh:
        return 0, 1, size
    return (size % mesh) // 2 if centred else 0, size // mesh, mesh


def _padded_medfilt(grid):
    """Replicate a border one mesh wide, then a 3 x 3 median that sees zeros outside."""
    return ndimage.median_filter(np.pad(grid, 1, mode="edge"), 3, mode="constant")


def _replace_outliers(grid):
    """
    Replace what is 3 sigma off a grid's median by the mean of its good neighbours.

    Up to five rounds of clipping; a value without a good neighbour stays.
    """
    good = np.ones(grid.shape, bool)
    for _ in range(5):
        kept = good & (np.abs(grid - np.median(grid[good])) <= 3 * grid[good].std())
        if (kept == good).all():
            break
        good = kept
    grid = grid.copy()
    for i, j in np.argwhere(~good):
        around = np.s_[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        if good[around].any():
            # As published, what has been replaced is good for the ones after it.
            grid[i, j], good[i, j] = grid[around][good[around]].mean(), True
    return grid


def _single_mean(values):
    """Mean of float32 values, added in pieces as NumPy did until its second release."""
    pieces = (values[i : i + 8192].sum() for i in range(0, values.size, 8192))
    return np.float32(sum(pieces, np.float32(0)) / values.size)


def mesh_grid_1_0(image, mesh=200):
    """
    Sky level over a grid, as the networks of releases 1.0 and 1.1 were trained with.

    Meshes from the first pixel on; mean of the pixels above 0 that are left after
    clipping at 3 sigma about the median.

    Parameters
    ----------
    image : ndarray, (H, W)
        Finite pixel values in ADU.
    mesh : int
        Side of a mesh in pixels.

    Returns
    -------
    level : ndarray, (rows + 2, columns + 2)
        Filtered, with a border of one mesh.
    centres : tuple of two ndarray
        Pixel coordinates of the mesh centres along each axis, border included.
    """
    axes = [_whole_meshes(size, mesh, centred=False) for size in image.shape]
    (_, n_y, height), (_, n_x, width) = axes
    level = np.zeros((n_y, n_x))
    for i, j in np.ndindex(level.shape):
        pixels = image[i * height : (i + 1) * height, j * width : (j + 1) * width]
        positive = pixels[pixels > 0]
        if positive.size:
            level[i, j] = clipped_statistics(positive, max_iterations=1000).mean
    level = _padded_medfilt(level)
    # A corner of the border takes its diagonal neighbour's value.
    level[np.ix_((0, -1), (0, -1))] = level[np.ix_((1, -2), (1, -2))]
    return level, _padded_centres(axes)


def mesh_grid_1_2(image, mesh=200):
    """
    Sky level and noise over a grid, as the networks of releases 1.2 to 1.4.1 were trained with.

    Meshes centred in the image, clipped at 3 sigma about the median. The level is
    the mean where clipping lowered the standard deviation by less than 20 %, else
    2.5 median - 1.5 mean (Bertin & Arnouts 1996, A&AS 117, 393).

    Parameters
    ----------
    image : ndarray, (H, W)
        Finite pixel values in ADU.
    mesh : int
        Side of a mesh in pixels.

    Returns
    -------
    level, noise : ndarray, (rows + 2, columns + 2)
        Filtered, with a border of one mesh; the corners of the border are 0.
    centres : tuple of two ndarray
        Pixel coordinates of the mesh centres along each axis, border included.
    """
    axes = [_whole_meshes(size, mesh, centred=True) for size in image.shape]
    (y_start, n_y, height), (x_start, n_x, width) = axes
    level, noise = np.zeros((n_y, n_x)), np.ones((n_y, n_x))
    for i, j in np.ndindex(level.shape):
        y, x = y_start + i * height, x_start + j * width
        pixels = image[y : y + height, x : x + width]
        if not pixels.any():
            continue
        clipped = clipped_statistics(pixels, max_iterations=1000)
        # In single precision, as published: where maxima nearly tie, the network's answer
        # depends on the last digits.
        kept = pixels[(pixels >= clipped.low) & (pixels <= clipped.high)]
        mean = _single_mean(kept)
        noise[i, j] = np.sqrt(_single_mean((kept - mean) ** 2))
        crowded = abs(noise[i, j] - clipped.unclipped_std) > 0.2 * clipped.unclipped_std
        level[i, j] = 2.5 * clipped.median - 1.5 * float(mean) if crowded else mean
    level, noise = (_padded_medfilt(_replace_outliers(grid)) for grid in (level, noise))
    return level, noise, _padded_centres(axes)


def _padded_centres(axes):
    """Mesh centres along each axis, with one more on either side."""
    return tuple(start + side * (np.arange(-1, n + 1) + 0.5) for start, n, side in axes)


def spline_rows(grid, centres, shape):
    """
    Bicubic spline through a grid, evaluated a few rows at a time.

    Parameters
    ----------
    grid : ndarray, (rows, columns)
        Values at the mesh centres.
    centres : tuple of two ndarray
        Pixel coordinates of the mesh centres along each axis.
    shape : tuple of int
        Shape (H, W) of the image.

    Returns
    -------
    callable
        `rows(first, last)` gives rows [first, last), float64, (last - first, W); what
        is beyond the outer centres repeats their values.
    """
    # Here, as it takes a fifth of a second that only the published networks need.
    from scipy import interpolate

    # Evaluated as published, to the last digit: zeros of a map must stay zeros.
    spline = interpolate.RectBivariateSpline(
        *centres, grid, kx=min(3, len(centres[0]) - 1), ky=min(3, len(centres[1]) - 1)
    )
    y, x = (np.clip(np.arange(n), c[0], c[-1]) for n, c in zip(shape, centres, strict=True))
    return lambda first, last: spline(y[first:last], x)
