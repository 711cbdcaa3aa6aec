"""Sky level and noise of an image, as the published networks were trained with."""

import numpy as np

from maxitools.background import clipped_statistics


def _whole_meshes(size, mesh, centred):
    """Start of the first whole mesh along an axis, their number and their side."""
    if size < mesh:
        return 0, 1, size
    return (size % mesh) // 2 if centred else 0, size // mesh, mesh


def _padded_medfilt(grid):
    """Replicate a border one mesh wide, then a 3 x 3 median that sees zeros outside."""
    # Here, as it takes a fifth of a second that only the published networks need.
    from scipy import ndimage

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
    from scipy import interpolate

    # Evaluated as published, to the last digit: zeros of a map must stay zeros.
    spline = interpolate.RectBivariateSpline(
        *centres, grid, kx=min(3, len(centres[0]) - 1), ky=min(3, len(centres[1]) - 1)
    )
    y, x = (np.clip(np.arange(n), c[0], c[-1]) for n, c in zip(shape, centres, strict=True))
    return lambda first, last: spline(y[first:last], x)
