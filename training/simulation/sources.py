"""Real frames and real cosmic rays that an observatory adds to the simulated ones.

A folder of backgrounds holds FITS files and a table ``backgrounds.tsv`` with, tab-separated:

``file``
    path, relative to the folder;
``hdu``
    number of the image HDU;
``saturation``
    level, in the file's unit, from which a pixel counts as saturated; empty: none does;
``everywhere``
    classes that hold in every pixel (``FR`` for a frame with fringes), separated by commas;
``unknown``
    classes that may be there, nobody having marked them: left out of training on this frame.

Cosmic rays and hot or dead pixels need no mark: what looks like one is left out.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import astroscrappy
import numpy as np
from astropy.io import fits
from scipy import ndimage

from maxitools.background import interpolate_grid, mesh_grid

MESH = 128


@dataclass(eq=False)
class Background:
    """A real frame.

    Attributes
    ----------
    name : str
        The file it came from.
    residual : ndarray, float32, (H, W)
        Pixels above the local sky, in units of the noise of the sky.
    level : ndarray, float32, (H, W)
        Local sky above that of the frame, in the same unit.
    suspect : ndarray, bool, (H, W)
        Pixels that may be cosmic rays or defects of the detector.
    saturated : ndarray, bool, (H, W)
    everywhere, unknown : frozenset of str
        Names of classes, as in the table.
    """

    name: str
    residual: np.ndarray
    level: np.ndarray
    suspect: np.ndarray
    saturated: np.ndarray
    everywhere: frozenset
    unknown: frozenset


def read_backgrounds(folder):
    """
    Read the real frames of a folder.

    Parameters
    ----------
    folder : path-like
        With a ``backgrounds.tsv``.

    Returns
    -------
    list of Background

    Raises
    ------
    OSError
        If the table or a file that it names cannot be read.
    """
    folder = Path(folder)
    with open(folder / "backgrounds.tsv", newline="") as table:
        return [_background(folder, row) for row in csv.DictReader(table, delimiter="\t")]


def _background(folder, row):
    image = fits.getdata(folder / row["file"], int(row["hdu"]))
    image = np.nan_to_num(image.astype(np.float32))
    level, noise, centres = mesh_grid(image, MESH)
    level, noise = (ndimage.median_filter(grid, 3, mode="nearest") for grid in (level, noise))
    sky, sigma = np.percentile(level, 25), max(float(np.median(noise)), 1e-6)
    local = interpolate_grid(level, centres, image.shape)
    residual = (image - local) / sigma
    sharp, _ = astroscrappy.detect_cosmics(
        np.clip(residual, -50, 3000) * 10 + 100, sigclip=4.0, objlim=3.0, readnoise=0, niter=1
    )
    dark = residual - ndimage.median_filter(residual, 5) < -5
    saturation = float(row["saturation"] or "inf")
    return Background(
        name=row["file"],
        residual=residual,
        level=(local - sky) / sigma,
        suspect=ndimage.binary_dilation(sharp | dark, iterations=1),
        saturated=image >= saturation,
        everywhere=frozenset(filter(None, row["everywhere"].split(","))),
        unknown=frozenset(filter(None, row["unknown"].split(","))),
    )


def read_footprints(path, faintest=300):
    """
    Read footprints of real cosmic rays, found in dark frames.

    Parameters
    ----------
    path : path-like
        FITS table with a row per pixel: ``event``, ``x``, ``y``, ``electrons``; the rows of an
        event follow each other.
    faintest : float
        Events of less charge, in electrons, and single pixels are noise or defects: dropped.

    Returns
    -------
    list of tuple
        Per event x, y (pixels, from 0) and electrons, each an ndarray.
    """
    table = fits.getdata(path, 1)
    edges = np.flatnonzero(np.diff(table["event"])) + 1
    columns = (np.split(table[name].astype(np.int32), edges) for name in ("x", "y", "electrons"))
    return [
        (x - x.min(), y - y.min(), electrons.astype(np.float32))
        for x, y, electrons in zip(*columns, strict=True)
        if len(x) > 1 and electrons.sum() >= faintest
    ]
