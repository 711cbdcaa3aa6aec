"""Real frames and real cosmic rays that an observatory adds to the simulated ones.

A folder of backgrounds holds frames and a table ``backgrounds.tsv`` with, tab-separated:

``file``
    path, relative to the folder: a FITS file, or a scene (``.npz``) of `training.series`, with an
    ``image`` in any linear unit, the bit masks ``positive`` and ``unsure``, and ``known``, the
    names of the classes that they tell about;
``hdu``
    number of the image HDU; empty for a scene;
``saturation``
    level, in the file's unit, from which a pixel counts as saturated; empty: none does;
``everywhere``
    classes that hold in every pixel (``FR`` for a frame with fringes), separated by commas;
``unknown``
    classes that may be there, nobody having marked them: left out of training on this frame.

Cosmic rays and hot or dead pixels need no mark in a FITS file: what looks like one is left out. In
a scene they are what its masks say they are.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import astroscrappy
import numpy as np
from astropy.io import fits
from scipy import ndimage

from maxitools.background import interpolate_grid, mesh_grid
from maxitools.classes import NAMES

MESH = 128
# Small contaminants that any real frame may show.
SMALL = ("CR", "HP", "DP", "HCL", "DCL")


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
    positive, unsure : ndarray, uint16, (H, W)
        Where classes are, and where nobody can say: bit i stands for class i of
        `maxitools.classes.CLASSES`.
    saturated : ndarray, bool, (H, W)
    everywhere, unknown : frozenset of str
        Names of classes, as in the table.
    """

    name: str
    residual: np.ndarray
    level: np.ndarray
    positive: np.ndarray
    unsure: np.ndarray
    saturated: np.ndarray
    everywhere: frozenset
    unknown: frozenset

    @property
    def suspect(self):
        """Pixels that are, or may be, cosmic rays or defects of the detector; bool, (H, W)."""
        return (self.positive | self.unsure) & _bits(SMALL) > 0


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
    path = folder / row["file"]
    if path.suffix == ".npz":
        with np.load(path) as scene:
            image, positive, unsure = scene["image"], scene["positive"], scene["unsure"]
            known = _bits(scene["known"])
        image = np.nan_to_num(image.astype(np.float32))
        residual, level = _above_sky(image)
        positive, unsure = positive & known, unsure & known
    else:
        image = np.nan_to_num(fits.getdata(path, int(row["hdu"])).astype(np.float32))
        residual, level = _above_sky(image)
        positive = np.zeros(image.shape, np.uint16)
        unsure = _suspect(residual) * _bits(SMALL)
    return Background(
        name=row["file"],
        residual=residual,
        level=level,
        positive=positive,
        unsure=unsure,
        saturated=image >= float(row["saturation"] or "inf"),
        everywhere=frozenset(filter(None, row["everywhere"].split(","))),
        unknown=frozenset(filter(None, row["unknown"].split(","))),
    )


def _bits(names):
    return np.uint16(sum(1 << NAMES.index(name) for name in names))


def _above_sky(image):
    """Pixels above the local sky, and that above the frame's, in units of the sky's noise."""
    level, noise, centres = mesh_grid(image, MESH)
    level, noise = (ndimage.median_filter(grid, 3, mode="nearest") for grid in (level, noise))
    sky, sigma = np.percentile(level, 25), max(float(np.median(noise)), 1e-6)
    local = interpolate_grid(level, centres, image.shape)
    return (image - local) / sigma, (local - sky) / sigma


def _suspect(residual):
    """Pixels that may be cosmic rays or defects of the detector."""
    sharp, _ = astroscrappy.detect_cosmics(
        np.clip(residual, -50, 3000) * 10 + 100, sigclip=4.0, objlim=3.0, readnoise=0, niter=1
    )
    dark = residual - ndimage.median_filter(residual, 5) < -5
    return ndimage.binary_dilation(sharp | dark, iterations=1)


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
