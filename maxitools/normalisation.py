"""An image -> what our network wants to see; its description names the function."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from maxitools.background import LinearMap, mesh_grid
from maxitools.pixels import cleaned

# A network may square what it sees: in single precision it must not be more.
_FAR = 1e15


def two_scale(image, mesh=128):
    """
    Pixels against the local sky, and the local sky against that of the image.

    The first keeps the smallest contaminant visible on any gradient, the second
    keeps what is larger than a mesh: bright background, nebulae, overscan.

    Parameters
    ----------
    image : ndarray, (H, W)
        Pixel values in any linear unit; what is no data
        (`maxitools.pixels.cleaned`) counts as 0.
    mesh : int
        Side of the meshes on which sky and noise are measured, in pixels.

    Returns
    -------
    ndarray, float32, (H, W, 2)
        (image - local sky) / local noise, and (local sky - sky) / noise.
    """
    return two_scale_rows(image, mesh)(0, image.shape[0])


def two_scale_rows(image, mesh=128):
    """
    `two_scale`, a few rows at a time.

    Parameters
    ----------
    image, mesh
        As for `two_scale`.

    Returns
    -------
    callable
        `rows(first, last)` gives rows [first, last), float32, (last - first, W, 2).
    """
    image = cleaned(image)
    level, noise, centres = mesh_grid(image, mesh)
    level, noise = _median_of_nine(level), _median_of_nine(noise)
    sky = np.percentile(level, 25)
    typical = np.median(noise[noise > 0]) if (noise > 0).any() else 1.0
    # A mesh of overscan or of clipped values has next to no noise of its own.
    noise = np.maximum(noise, 0.25 * typical)
    level_map = LinearMap(level, centres, image.shape)
    noise_map = LinearMap(noise, centres, image.shape)

    def rows(first, last):
        pixels = np.empty((last - first, image.shape[1], 2), np.float32)
        # Strips that stay in the cache.
        for start in range(first, last, 16):
            stop = min(start + 16, last)
            local_sky = level_map(start, stop)
            strip = pixels[start - first : stop - first]
            with np.errstate(over="ignore"):
                np.divide(image[start:stop] - local_sky, noise_map(start, stop), out=strip[..., 0])
                np.divide(local_sky - sky, typical, out=strip[..., 1])
            np.clip(strip, -_FAR, _FAR, out=strip)
        return pixels

    return rows


def _median_of_nine(grid):
    """Median of the 3x3 meshes around each: scipy's filter takes long to import."""
    return np.median(sliding_window_view(np.pad(grid, 1, mode="edge"), (3, 3)), axis=(2, 3))


# What a network's description may name.
RECIPES = {"two_scale": two_scale_rows}
