"""An image -> what a network wants to see; a network names its recipe."""

import numpy as np
from scipy import ndimage

from maxitools.background import interpolate_grid, mesh_grid


def two_scale(image, mesh=128):
    """
    Pixels against the local sky, and the local sky against that of the image.

    The first keeps the smallest contaminant visible on any gradient, the second
    keeps what is larger than a mesh: bright background, nebulae, overscan.

    Parameters
    ----------
    image : ndarray, (H, W)
        Pixel values in any linear unit; what is not finite counts as 0.
    mesh : int
        Side of the meshes on which sky and noise are measured, in pixels.

    Returns
    -------
    ndarray, float32, (H, W, 2)
        (image - local sky) / local noise, and (local sky - sky) / noise.
    """
    image = np.nan_to_num(image.astype(np.float32, copy=False), posinf=0.0, neginf=0.0)
    level, noise, centres = mesh_grid(image, mesh)
    level = ndimage.median_filter(level, 3, mode="nearest")
    noise = ndimage.median_filter(noise, 3, mode="nearest")
    sky = np.percentile(level, 25)
    typical = np.median(noise[noise > 0]) if (noise > 0).any() else 1.0
    # A mesh of overscan or of clipped values has next to no noise of its own.
    noise = np.maximum(noise, 0.25 * typical)
    local_sky = interpolate_grid(level, centres, image.shape)
    pixels = np.empty((*image.shape, 2), np.float32)
    np.subtract(image, local_sky, out=pixels[..., 0])
    pixels[..., 0] /= interpolate_grid(noise, centres, image.shape)
    np.subtract(local_sky, sky, out=pixels[..., 1])
    pixels[..., 1] /= typical
    return pixels
