"""The images that are timed, written strip by strip: whoever measures memory must be small."""

import numpy as np
from astropy.io import fits

_STRIP = 1024


def strip(shape, seed):
    """
    Sky with a gradient, noise, stars and cosmic rays.

    Parameters
    ----------
    shape : tuple of int
        Shape (H, W), at least 32 pixels each.
    seed : int

    Returns
    -------
    ndarray, float32, (H, W)
        In electrons.
    """
    rng = np.random.default_rng(seed)
    height, width = shape
    image = rng.standard_normal(shape, np.float32)
    image *= 12
    image += np.linspace(900, 1000, width, dtype=np.float32)
    y, x = np.mgrid[-10:11, -10:11]
    n_stars = height * width // 4000
    fluxes = np.minimum(300 * rng.random(n_stars) ** -0.8, 1e6)
    for flux in fluxes:
        top, left = rng.integers(0, height - 21), rng.integers(0, width - 21)
        fwhm = 3.0
        star = np.exp(-2.7726 * (y * y + x * x) / fwhm**2) * flux * 0.8825 / fwhm**2
        image[top : top + 21, left : left + 21] += star
    for _ in range(height * width // 20000):
        length, slope = rng.integers(2, 20), rng.uniform(-1, 1)
        top, left = rng.integers(20, height), rng.integers(0, width - 20)
        steps = np.arange(length)
        rows = np.clip(top + np.rint(slope * steps).astype(int), 0, height - 1)
        image[rows, left + steps] += rng.exponential(800)
    return np.minimum(image, 60000)


def write(path, shapes, seed=0):
    """
    Write a FITS file of made images, float32.

    Parameters
    ----------
    path : Path
    shapes : sequence of tuple of int
        Shape (H, W) of each image. One goes to the primary HDU, several to extensions.
    seed : int

    Returns
    -------
    Path
        The file.
    """
    with open(path, "wb") as file:
        if len(shapes) > 1:
            file.write(fits.PrimaryHDU().header.tostring().encode())
        for number, (height, width) in enumerate(shapes):
            kind = fits.ImageHDU if len(shapes) > 1 else fits.PrimaryHDU
            header = kind(np.zeros((1, 1), np.float32)).header
            header["NAXIS1"], header["NAXIS2"] = width, height
            file.write(header.tostring().encode())
            for first in range(0, height, _STRIP):
                rows = min(_STRIP, height - first)
                file.write(strip((rows, width), (seed, number, first)).astype(">f4").tobytes())
            file.write(bytes(-file.tell() % 2880))
    return path


def write_list(path, files):
    """Write a list of files, as the commands take it."""
    path.write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
    return path
