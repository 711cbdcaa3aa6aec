"""Exposures with and without tracking errors.

An exposure is affected when the image moved on the detector by an amount that shows: a drift of
half a FWHM is the least.  Elongation that the optics make is none.
"""

from dataclasses import replace
from functools import cache

import numpy as np
from scipy import ndimage
from scipy.signal import fftconvolve

from training.simulation import contaminants as add
from training.simulation.contaminants import log_uniform
from training.simulation.fields import star_catalogue
from training.simulation.motions import (
    AFFECTED,
    MOTIONS,
    STEPS,
    UNAFFECTED,
    elongation,
    motion,
    random_motion,
)
from training.simulation.optics import OVERSAMPLING, PsfField, dwell, random_aberrations, random_psf
from training.simulation.scenes import draw_scene, random_detector

# How often strong aberrations show, without and with a tracking error.  Few telescopes have them,
# but those that do are what a network takes for tracking errors: it has to see many.
DISTORTED = 0.4, 0.1
# What they are, all over the field and growing away from the axis of the telescope.
EVERYWHERE = {
    "defocus": 0.08,
    "astigmatism": 0.17,
    "coma": 0.15,
    "trefoil": 0.1,
    "donut": 0.1,
    "mixture": 0.4,
}
OFF_AXIS = {"astigmatism": 0.5, "coma": 0.25, "trefoil": 0.05, "mixture": 0.2}
# How often a sharp exposure holds hardly a star.
EMPTY = 0.06
# How often a real frame that moves has star trails or arcs.
LONG_ONES = 0.45
# How often the noise of a real frame is smeared, as after shifting and adding, or resampling.
SMEARED = 0.25
# Stars that a real frame needs to show whether it moved.
ENOUGH = 4


def rotated(rng, psf, shape):
    """Rotate the field about a guide star during the exposure.

    Returns
    -------
    PsfField or None
        None when the rotation hardly shows: most stars move less than a drift that counts.
    """
    guide = rng.uniform(-0.2, 1.2, 2) * shape[::-1]
    places = grid(shape, 3)
    reach = np.hypot(*(places - guide).T)
    # At the median distance from the guide star, the arc is that long.
    turn = psf.fwhm * log_uniform(rng, 0.5, 8) / np.median(reach)
    angle = turn * (
        np.linspace(-0.5, 0.5, STEPS) + rng.uniform(0, 0.1) * np.sin(np.linspace(0, 9, STEPS))
    )
    psfs = []
    shown = []
    for x, y in places - guide:
        path = x * np.cos(angle) - y * np.sin(angle) - x, x * np.sin(angle) + y * np.cos(angle) - y
        path = [offset - offset.mean() for offset in path]
        shown.append(elongation(*path) > AFFECTED * psf.fwhm)
        psfs.append(psf.moved(*path))
    return PsfField.of(places, psfs) if np.mean(shown) > 0.6 else None


def grid(shape, count):
    """Positions (x, y) in the middle of `count` by `count` parts of an image, the central first."""
    y, x = ((np.arange(count) + 0.5) * size / count for size in shape)
    places = np.array([(b, a) for a in y for b in x])
    centre = np.array(shape[::-1]) / 2
    return places[np.argsort(np.hypot(*(places - centre).T), kind="stable")]


def sharp_psf(rng, shape, distorted):
    """Draw optics without tracking error.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W) of the image.
    distorted : float
        How often aberrations elongate or distort the images.

    Returns
    -------
    Psf
    """
    fwhm = float(np.clip(rng.lognormal(np.log(3.2), 0.55), 1.3, 10))
    ellipticity = float(min(rng.exponential(0.025), 0.12))
    distortion = rng.uniform() < distorted
    if not distortion:
        aberrations = random_aberrations(rng, {"sharp": 1.0})
        return random_psf(rng, fwhm, aberrations=aberrations, ellipticity=ellipticity)
    if rng.uniform() < 0.5:
        aberrations = random_aberrations(rng, EVERYWHERE)
        # Up to optics near their diffraction limit: a narrow core in wide, lopsided wings.
        aberrations["share"] *= rng.uniform(1, 2.5)
        return random_psf(rng, fwhm, aberrations=aberrations, ellipticity=ellipticity)
    # The same telescope, off its axis: aberrations grow with the distance, coma as it does and
    # astigmatism as its square, and point to the axis.
    aberrations = random_aberrations(rng, OFF_AXIS)
    growth = rng.uniform(0.8, 2)
    seed = rng.integers(2**32)
    centre = rng.uniform(-1, 2, 2) * shape[::-1]
    places = grid(shape, 3)
    aberrations["share"] = rng.uniform(0.4, 0.9)
    distance = np.hypot(*(places - centre).T)
    distance = (distance / distance.max()) ** growth
    psfs = []
    for (x, y), share in zip(places - centre, aberrations["share"] * distance, strict=True):
        local = aberrations | {"share": share, "turn": np.arctan2(y, x)}
        telescope = np.random.default_rng(seed)
        # The seeing is the same everywhere.
        width = min(fwhm / np.sqrt(1 - share**2), 12)
        psfs.append(random_psf(telescope, width, vanes=4, aberrations=local, ellipticity=0.02))
    return PsfField.of(places, psfs)


def draw_exposure(rng, shape, sources):
    """Draw an exposure for the tracking network.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W).
    sources : Sources
        Real frames and cosmic rays; see `training.simulation.scenes`.

    Returns
    -------
    image : ndarray, float32, (H, W)
        ADU, or counts of a reduced frame.
    affected : bool
    kind : str
        Of the motion; ``"none"`` without one.
    amount : float
        `elongation` of the motion in FWHM.
    """
    affected = rng.uniform() < 0.5
    if sources.backgrounds and rng.uniform() < 0.25:
        return real_exposure(rng, shape, sources, affected)
    psf = sharp_psf(rng, shape, DISTORTED[affected]).dithered(rng)
    kind, amount = "none", 0.0
    if not affected and rng.uniform() < 0.3:
        x, y = motion(rng, "shake", psf.fwhm * rng.uniform(0.05, 0.3))
        amount = elongation(x, y) / psf.fwhm
        if amount < UNAFFECTED:
            psf = psf.moved(x, y)
        else:
            amount = 0.0
    elif affected:
        turning = None
        if rng.uniform() < MOTIONS["rotation"]:
            turning = rotated(rng, psf, shape)
        if turning is not None:
            kind, amount, psf = "rotation", np.nan, turning
        else:
            kind, x, y = random_motion(rng, psf.fwhm)
            amount = elongation(x, y) / psf.fwhm
            psf = psf.moved(x, y)
    spread = 0 if np.isnan(amount) else amount
    detector = random_detector(rng)
    density = log_uniform(rng, 60, min(20000, 3e5 / psf.fwhm**2))
    if not affected and rng.uniform() < EMPTY:
        density = log_uniform(rng, 0.1, 60)
    stars = star_catalogue(
        rng,
        shape,
        density=density,
        # From a signal to noise of about 3 on, over all pixels that the motion spreads it to.
        faintest=detector.noise * psf.fwhm * np.sqrt(1 + spread) * log_uniform(rng, 4, 30),
        brightest=detector.well * log_uniform(rng, 3, 1000),
        margin=max(100, psf.core.shape[0] // (2 * OVERSAMPLING)),
    )
    busy = rng.uniform(0, 0.8)
    # Real skies would bring stars of their own, which do not move.
    sources = replace(sources, backgrounds=[])
    image = draw_scene(rng, shape, sources, psf, detector, stars, busy)[0]
    return image, affected, kind, amount


def real_exposure(rng, shape, sources, affected):
    """Cut from a sharp real frame; when affected, its objects move, but seldom its noise.

    Real fields have few stars: the cut is two to three times as high and wide as asked for, where
    the frame is.

    Returns
    -------
    image, affected, kind, amount
        As `draw_exposure`.
    """
    frames = sources.backgrounds
    if affected:
        frames = [frame for frame in frames if stars_of(frame)[1] >= ENOUGH] or frames
    frame = frames[rng.integers(len(frames))]
    wider = rng.uniform(2, 3)
    shape = [min(int(wider * n), have) for n, have in zip(shape, frame.level.shape, strict=True)]
    y, x = (
        rng.integers(have - want + 1) for have, want in zip(frame.level.shape, shape, strict=True)
    )
    cut = np.s_[y : y + shape[0], x : x + shape[1]]
    residual, level, suspect = frame.residual[cut], frame.level[cut], frame.suspect[cut]
    kind, amount, fwhm = "none", 0.0, stars_of(frame)[0]
    if affected:
        kind, x, y = random_motion(rng, fwhm, long=LONG_ONES)
        amount, kernel = elongation(x, y) / fwhm, dwell(x, y)
    else:
        # Half of the sharp frames take the same way with a round image, so that its traces tell
        # nothing.
        x, y = rng.normal(0, fwhm * rng.uniform(0.05, 0.4), (2, STEPS))
        kernel = dwell(x, y)
    if affected or rng.uniform() < 0.5:
        objects = ndimage.gaussian_filter(residual, 1) > 1.5
        objects = ndimage.binary_dilation(objects, iterations=3) & ~suspect
        noise = np.where(objects, rng.standard_normal(shape, dtype=np.float32), residual)
        moved = np.maximum(fftconvolve(np.where(objects, residual, 0), kernel, mode="same"), 0)
        # Photon noise of the objects, in units of the sky's noise, at a gain that nobody knows.
        photons = np.sqrt(moved * log_uniform(rng, 0.003, 0.3))
        noise += photons * rng.standard_normal(shape, dtype=np.float32)
        if rng.uniform() < SMEARED:
            # With its stars or without them: noise alone tells nothing.
            way = kernel if affected else dwell(*random_motion(rng, fwhm, long=LONG_ONES)[1:])
            noise = fftconvolve(noise, way, mode="same")
        residual = noise + moved
    image = residual + level
    if rng.uniform() < 0.5:
        image += 0.1 * add.cosmic_rays(rng, shape, rng.integers(1, 60))
    if rng.uniform() < 0.2:
        image += log_uniform(rng, 0.8, 150) * add.trail(rng, shape, fwhm)
    image = np.rot90(image, rng.integers(4))
    return np.ascontiguousarray(image, np.float32), affected, kind, amount


@cache
def stars_of(frame):
    """FWHM and number of the stars of a frame, from the areas above half of their maxima.

    Parameters
    ----------
    frame : training.simulation.sources.Background

    Returns
    -------
    fwhm : float
        In pixels.
    count : int
    """
    objects, _ = ndimage.label(frame.residual > 6)
    areas = []
    for number, part in enumerate(ndimage.find_objects(objects), start=1):
        pixels = frame.residual[part] * (objects[part] == number)
        suspect = frame.suspect[part][pixels > 0].mean() > 0.3
        if 20 < pixels.max() < 2000 and (pixels > 0).sum() > 5 and not suspect:
            areas.append(np.count_nonzero(pixels > pixels.max() / 2))
    # Galaxies and blends are wider than stars, cosmic rays narrower.
    fwhm = 2 * np.sqrt(np.percentile(areas or [7], 40) / np.pi)
    return float(np.clip(fwhm, 1.3, 10)), len(areas)
