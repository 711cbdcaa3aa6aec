"""An image -> what the published networks want to see."""

import numpy as np

from maxitools.pixels import cleaned
from maxitools.published.background import mesh_grid_1_0, mesh_grid_1_2, spline_rows


def normalise_1_0(image):
    """
    The normalisation of releases 1.0 and 1.1.

    Parameters
    ----------
    image : ndarray, (H, W)
        Pixel values in ADU; NaN counts as 0.

    Returns
    -------
    callable
        `rows(first, last)` gives rows [first, last), float32, (last - first, W, 1):
        image less background, over the standard deviation of the whole difference.
    """
    with np.errstate(over="ignore"):
        image = cleaned(np.minimum(image.astype(np.float32, copy=False), np.float32(80000.0)))
    level_map = spline_rows(*mesh_grid_1_0(image), image.shape)
    n, total, squares = image.size, 0.0, 0.0
    for first in range(0, image.shape[0], 256):
        last = min(first + 256, image.shape[0])
        difference = image[first:last] - level_map(first, last)
        total += difference.sum()
        squares += np.square(difference).sum()
    std = np.sqrt(max(squares / n - (total / n) ** 2, 0.0)) or 1.0

    def rows(first, last):
        difference = image[first:last] - level_map(first, last)
        return (difference / std).astype(np.float32)[..., np.newaxis]

    return rows


def normalise_1_2(image):
    """
    The normalisation of releases 1.2 to 1.4.1.

    Parameters
    ----------
    image : ndarray, (H, W)
        Pixel values in ADU; NaN counts as 0.

    Returns
    -------
    callable
        `rows(first, last)` gives rows [first, last), float32, (last - first, W, 1):
        image less background, over the noise.
    """
    with np.errstate(over="ignore"):
        image = cleaned(np.clip(image.astype(np.float32, copy=False), -500.0, 80000.0))
    level, noise, centres = mesh_grid_1_2(image)
    level_map = spline_rows(level, centres, image.shape)
    noise_map = spline_rows(noise, centres, image.shape)

    def rows(first, last):
        # In single precision, as published.
        pixels = image[first:last] - level_map(first, last).astype(np.float32)
        # The noise falls to zero towards the image's corners, and is zero where the sky
        # is constant: the network gets infinities and NaN there, as published.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            pixels /= noise_map(first, last).astype(np.float32)
        return pixels[..., np.newaxis]

    return rows
