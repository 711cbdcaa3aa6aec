"""Exposures to judge tracking networks on, from a simulator unlike the one that they learn from.

``python -m training.judges.galsim_exposures FOLDER --scenes 100 --seed 1`` writes what
``python -m training.judges.evaluate FOLDER --task track`` reads: every second exposure has a
drift, a jump, a random walk or a swing of 0.8 to 6 FWHM. GalSim draws the optics. It needs the
[training] extra.
"""

import argparse
from pathlib import Path

import galsim
import numpy as np
from scipy.signal import fftconvolve

from training.judges.galsim_scenes import SIDE, on_pixels
from training.simulate import write_scenes
from training.simulation.contaminants import log_uniform
from training.simulation.fields import add_stamp

OVERSAMPLING = 4
READ_NOISE = 5  # electrons
WELL = 60000
ABERRATIONS = "defocus", "astig1", "astig2", "coma1", "coma2", "trefoil1", "trefoil2", "spher"
# Waves in each aberration, of most telescopes and of some.
GOOD, POOR = 0.03, 0.12


def path(rng, kind, extent):
    """
    How the image moves.

    Parameters
    ----------
    rng : numpy.random.Generator
    kind : str
        ``"drift"``, ``"jump"``, ``"walk"`` or ``"swing"``.
    extent : float
        Pixels.

    Returns
    -------
    x, y : ndarray
        Offsets in pixels at equal steps of time.
    """
    t = np.linspace(0, 1, 4000)
    along, across = t, 0 * t
    if kind == "drift":
        across = 0.03 * rng.normal() * t**2
    elif kind == "jump":
        along = (t > rng.uniform(0.2, 0.8)).astype(float)
    elif kind == "walk":
        steps = np.cumsum(rng.normal(size=(2, 60)), axis=1)
        steps /= np.ptp(steps, axis=1).max()
        along, across = (np.interp(t, np.linspace(0, 1, 60), part) for part in steps)
    elif kind == "swing":
        along = 0.5 * np.sin(2 * np.pi * rng.uniform(1, 6) * t)
    angle = rng.uniform(0, np.pi)
    x = extent * (along * np.cos(angle) - across * np.sin(angle))
    y = extent * (along * np.sin(angle) + across * np.cos(angle))
    return x - x.mean(), y - y.mean()


def telescope(rng, fwhm, poor):
    """Point-spread function of a telescope, now and then poor, in seeing of this FWHM in pixels."""
    waves = POOR if rng.uniform() < poor else GOOD
    optics = galsim.OpticalPSF(
        lam_over_diam=fwhm * rng.uniform(0.08, 0.25),
        obscuration=rng.uniform(0, 0.4),
        nstruts=int(rng.choice([0, 3, 4, 4])),
        strut_thick=0.03,
        strut_angle=rng.uniform(0, 90) * galsim.degrees,
        **{name: rng.normal(0, waves) for name in ABERRATIONS},
    )
    seeing = galsim.Moffat(beta=rng.uniform(2.5, 4.5), fwhm=fwhm)
    seeing = seeing.shear(g1=rng.normal(0, 0.01), g2=rng.normal(0, 0.01))
    return galsim.Convolve(seeing, optics, galsim.Pixel(1))


def draw_exposure(rng, affected, poor=0.2):
    """
    Draw an exposure.

    Parameters
    ----------
    rng : numpy.random.Generator
    affected : bool
        Whether the image moves on the detector.
    poor : float
        Share of telescopes with strong aberrations.

    Returns
    -------
    image : ndarray, float32, (SIDE, SIDE)
        Electrons.
    affected : bool
    kind : str
        Of the motion; ``"none"`` without one.
    amount : float
        Its extent in FWHM.
    """
    fwhm = rng.uniform(2, 6)
    side = int(16 * fwhm + 40) // 2 * 2 + 1
    psf = telescope(rng, fwhm, poor).drawImage(
        nx=side * OVERSAMPLING, ny=side * OVERSAMPLING, scale=1 / OVERSAMPLING, method="no_pixel"
    )
    psf, kind, amount = psf.array.astype(float), "none", 0.0
    if affected:
        kind = str(rng.choice(["drift", "jump", "walk", "swing"]))
        amount = float(log_uniform(rng, 0.8, 6))
        x, y = (OVERSAMPLING * offset for offset in path(rng, kind, amount * fwhm))
        half = OVERSAMPLING * int(amount * fwhm + 2)
        edges = np.arange(-half - 0.5, half + 1)
        dwell = np.histogram2d(y, x, bins=edges)[0] / x.size
        psf = fftconvolve(psf, dwell, mode="same")
    psf = np.maximum(psf, 0)
    sky = 10 ** rng.uniform(1.5, 4)
    noise = np.sqrt(sky + READ_NOISE**2)
    light = sky + stars(rng, psf, noise * fwhm)
    if rng.uniform() < 0.3:
        angle = rng.uniform(0, np.pi)
        y, x = np.indices(light.shape) - rng.uniform(0, SIDE, (2, 1, 1))
        across = x * np.sin(angle) - y * np.cos(angle)
        light += noise * np.exp(rng.uniform(0, 4) - 4 * np.log(2) * (across / fwhm) ** 2)
    electrons = rng.poisson(light) + rng.normal(0, READ_NOISE, light.shape) + hits(rng, noise)
    return np.minimum(electrons, WELL).astype(np.float32), affected, kind, amount


def stars(rng, psf, unit):
    """Light of a field with some twenty to two thousand stars."""
    light = np.zeros((SIDE, SIDE))
    count = rng.poisson(10 ** rng.uniform(1.3, 3.3))
    flux = unit * (5 + 8 * rng.pareto(rng.uniform(0.6, 1), count).clip(0, 1e4))
    for f, (x, y) in zip(flux, rng.uniform(-20, SIDE + 20, (count, 2)), strict=True):
        row, column = int(np.floor(y)), int(np.floor(x))
        stamp = f * on_pixels(psf, OVERSAMPLING, x - column, y - row)
        add_stamp(light, stamp, row, column)
    return light


def hits(rng, noise):
    """Straight cosmic rays, a pixel wide."""
    charge = np.zeros((SIDE, SIDE))
    for _ in range(rng.integers(0, 80)):
        way, angle = np.arange(0, rng.exponential(10) + 1, 0.5), rng.uniform(0, np.pi)
        row, column = (
            (rng.uniform(0, SIDE) + way * turn).astype(int)
            for turn in (np.sin(angle), np.cos(angle))
        )
        inside = (row >= 0) & (row < SIDE) & (column >= 0) & (column < SIDE)
        np.add.at(charge, (row[inside], column[inside]), noise * np.exp(rng.uniform(2, 6)) / 2)
    return charge


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the exposures go; made if need be")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--poor", type=float, default=0.2, help="share of telescopes that are poor")
    options = parser.parse_args()
    write_scenes(
        options.folder,
        "track",
        lambda rng, index: draw_exposure(rng, index % 2 == 0, options.poor),
        options.seed,
        options.scenes,
    )


if __name__ == "__main__":
    main()
