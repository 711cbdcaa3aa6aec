"""Scenes to judge mask networks on, from a simulator unlike the one that they are trained with.

``python -m training.judges.galsim_scenes FOLDER --scenes 40 --seed 1`` writes what
``python -m training.judges.evaluate FOLDER`` reads. GalSim draws optics and galaxies, and every
other recipe is another one than in ``training/``; only the definitions of the classes are shared
(``training/LABELS.md``). It needs the [training] extra.

Faults stand out, and nebulae and fringes keep apart, as on most nights; with ``--hard`` they may be
as faint as the definitions allow, and lie on top of each other.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import galsim
import numpy as np
from scipy import ndimage

from maxitools.classes import NAMES
from training.simulate import write_scenes
from training.simulation.contaminants import log_uniform
from training.simulation.fields import add_stamp
from training.simulation.scenes import BBG_SIGMA, Labels, mark_spikes

SIDE = 800
# Sides of the images of bright and of faint stars, the latter in units of the FWHM.
WIDE, NARROW = 701, 9
OVERSAMPLING = 3
# Electron-hole pairs that a muon frees per micrometre of silicon.
PAIRS = 75


@dataclass(frozen=True)
class Ranges:
    """What is drawn, between a lowest and a highest value; levels in units of the sky's noise."""

    sky: tuple = (20, 1600)  # electrons
    sharp: float = 0.0  # how often FWHM is 1.5 to 2 pixels instead of 2 to 6
    vanes: tuple = (0, 3, 4, 4, 4)
    thickness: tuple = (0.02, 0.05)  # of vanes, in diameters of the pupil
    bright: tuple = (0.5, 30)  # peaks of bright stars, in full wells
    glow: tuple = (5, 100)
    glow_radius: tuple = (30, 120)  # pixels
    nebula: tuple = (8, 160)  # 99th percentile
    fringes: tuple = (3, 12)
    both: bool = False  # nebulae and fringes on top of each other
    trail: tuple = (2.5, 100)
    afterglow: tuple = (5, 40)
    line: tuple = (8, 100)  # hot columns and rows
    dead: tuple = (12, 40)
    hot: tuple = (16, 500)


PLAIN = Ranges()
HARD = Ranges(
    sky=(20, 20000),
    sharp=0.15,
    vanes=(0, 3, 4, 4, 4, 6),
    thickness=(0.01, 0.05),
    bright=(0.5, 300),
    glow=(2, 100),
    glow_radius=(60, 300),
    nebula=(3, 100),
    fringes=(0.55, 10),
    both=True,
    trail=(1, 60),
    afterglow=(1.6, 32),
    line=(3, 100),
    dead=(4, 20),
    hot=(10, 500),
)


class Telescope:
    """Images of a star: `wide` on pixels for bright ones, `stamp` at any place for others."""

    def __init__(self, rng, ranges):
        self.fwhm = rng.uniform(1.5, 2) if rng.uniform() < ranges.sharp else rng.uniform(2, 6)
        self.vanes = int(rng.choice(ranges.vanes))
        optics = galsim.OpticalPSF(
            lam_over_diam=self.fwhm * rng.uniform(0.15, 0.5),
            obscuration=rng.uniform(0.1, 0.4),
            nstruts=self.vanes,
            strut_thick=rng.uniform(*ranges.thickness),
            strut_angle=rng.uniform(0, 90) * galsim.degrees,
            **{name: rng.normal(0, 0.03) for name in ("defocus", "coma1", "coma2", "astig1")},
        )
        seeing = galsim.Moffat(beta=rng.uniform(2.5, 4), fwhm=self.fwhm)
        seeing = seeing.shear(g1=rng.normal(0, 0.02), g2=rng.normal(0, 0.02))
        psf = galsim.Convolve(
            seeing,
            optics,
            galsim.Pixel(1),
            gsparams=galsim.GSParams(maximum_fft_size=16384, folding_threshold=2e-3),
        )
        side = int(NARROW * self.fwhm) // 2 * 2 + 21
        self.wide = _drawn(psf, WIDE, 1)
        self.fine = _drawn(psf, side * OVERSAMPLING, OVERSAMPLING)

    def stamp(self, x, y):
        """Image of a star at (x, y) within a pixel, each from 0 to 1."""
        return on_pixels(self.fine, OVERSAMPLING, x, y)


def _drawn(profile, side, oversampling):
    image = profile.drawImage(nx=side, ny=side, scale=1 / oversampling, method="no_pixel").array
    return np.maximum(image, 0)


def on_pixels(fine, oversampling, x, y):
    """A square image on finer pixels, moved to (x, y) within a pixel, on pixels."""
    shift = int(y * oversampling), int(x * oversampling)
    side = len(fine) // oversampling
    return np.roll(fine, shift, (0, 1)).reshape(side, oversampling, side, -1).sum((1, 3))


def power_law_field(rng, exponent):
    """A random field with a power spectrum k^exponent, mean 0, scatter 1."""
    k = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    k[0, 0] = 1
    waves = rng.normal(size=(2, *k.shape)) * k ** (exponent / 2) * (k < 0.2)
    image = np.fft.irfft2(waves[0] + 1j * waves[1], s=(SIDE, SIDE))
    return (image - image.mean()) / image.std()


def objects(rng, ranges, telescope, noise, well, labels):
    """Light of stars, galaxies and of a glow; marks spikes and bright background."""
    light = np.zeros((SIDE, SIDE))
    peak = telescope.wide.max()
    count = rng.poisson(log_uniform(rng, 30, 2500))
    faint = noise * telescope.fwhm * 6 * (rng.pareto(rng.uniform(0.5, 0.9), count) + 0.7)
    faint = np.minimum(faint, 3 * well * telescope.fwhm**2)
    bright = well / peak * log_uniform(rng, *ranges.bright, rng.choice([0, 1, 3, 6]))
    for flux in (*faint, *bright):
        x, y = rng.uniform(-20, SIDE + 20, 2)
        row, column = int(np.floor(y)), int(np.floor(x))
        if flux * peak < 20 * noise:
            add_stamp(light, telescope.stamp(x - column, y - row) * flux, row, column)
            continue
        add_stamp(light, telescope.wide * flux, row, column)
        if telescope.vanes:
            mark_spikes(labels, column, row, flux, telescope, noise)
    seeing = galsim.Moffat(beta=3, fwhm=telescope.fwhm)
    for _ in range(rng.poisson(rng.choice([3, 20]))):
        radius = telescope.fwhm * log_uniform(rng, 0.5, 8)
        galaxy = galsim.Sersic(n=rng.uniform(0.8, 3.5), half_light_radius=radius)
        galaxy = galaxy.shear(q=rng.uniform(0.12, 1), beta=rng.uniform(0, 180) * galsim.degrees)
        flux = noise * telescope.fwhm**2 * log_uniform(rng, 3, 300)
        stamp = galsim.Convolve(galaxy, seeing).withFlux(flux).drawImage(nx=161, ny=161, scale=1)
        add_stamp(light, stamp.array, *rng.integers(0, SIDE, 2))
    if rng.uniform() < 0.25:
        y, x = np.indices(light.shape) - rng.uniform(0, SIDE, (2, 1, 1))
        radius = rng.uniform(*ranges.glow_radius)
        light += noise * log_uniform(rng, *ranges.glow) * np.exp(-(x**2 + y**2) / radius**2)
    labels.light("BBG", ndimage.gaussian_filter(light, BBG_SIGMA), noise, 3, 0.5)
    return light


def nebula(rng, ranges, noise, labels):
    """Log-normal clouds; marks them."""
    light = np.exp(rng.uniform(0.6, 1.3) * power_law_field(rng, -rng.uniform(2.6, 3.4)))
    light *= noise * log_uniform(rng, *ranges.nebula) / np.percentile(light, 99)
    labels.light("NEB", light, noise, 1, 0.1)
    return light


def fringes(rng, ranges, noise, labels):
    """Two sets of waves over a smooth thickness; marks the whole image."""
    phase = ndimage.gaussian_filter(power_law_field(rng, -3.6), rng.uniform(15, 60))
    phase *= 2 * np.pi / (np.hypot(*np.gradient(phase)).mean() * log_uniform(rng, 12, 70))
    waves = 0.7 * np.sin(phase) + 0.3 * np.sin(phase * rng.uniform(1.1, 1.6) + 1)
    labels.mark("FR", np.ones((SIDE, SIDE), bool))
    return noise * log_uniform(rng, *ranges.fringes) * waves


def trails(rng, ranges, fwhm, noise, labels):
    """Trails in focus, wide or of a ring out of focus, steady or not; marks them."""
    light = np.zeros((SIDE, SIDE))
    for _ in range(rng.choice([1, 1, 2, 4])):
        angle = rng.uniform(0, np.pi)
        y, x = np.indices(light.shape) - rng.uniform(0.12, 0.88, (2, 1, 1)) * SIDE
        along = x * np.cos(angle) + y * np.sin(angle)
        across = y * np.cos(angle) - x * np.sin(angle)
        across = across + rng.choice([0, 0, 0, 1]) * rng.normal(0, 2e-4) * along**2
        kind = rng.choice(["focus", "focus", "wide", "ring"])
        if kind == "focus":
            profile = 0.9 * np.exp(-4 * np.log(2) * (across / fwhm) ** 2)
            profile += 0.1 / (1 + (across / fwhm) ** 2) ** 1.5
        elif kind == "wide":
            width = fwhm * rng.uniform(0.7, 4)
            profile = np.exp(-(np.abs(across / width) ** rng.uniform(1.5, 4)))
        else:
            radius = fwhm * rng.uniform(1, 5)
            chords = [np.sqrt(np.maximum(r**2 - across**2, 0)) for r in (radius, 0.4 * radius)]
            profile = ndimage.gaussian_filter(chords[0] - chords[1], fwhm / 2.355)
        change = rng.choice(["none", "none", "tumbles", "flashes", "ends", "flares"])
        if change == "tumbles":
            phase = 2 * np.pi * along / rng.uniform(20, 300)
            profile = profile * (1 + rng.uniform(0.3, 0.9) * np.sin(phase))
        elif change == "flashes":
            period = rng.uniform(30, 200)
            dark = np.abs(along % period - period / 2) - period * rng.uniform(0.15, 0.35)
            profile = profile * (0.5 - 0.5 * np.tanh(dark / fwhm))
        elif change == "ends":
            profile = profile * (along < rng.uniform(-200, 200))
        elif change == "flares":
            profile = profile * np.exp(-((along / rng.uniform(80, 400)) ** 2))
        light += noise * log_uniform(rng, *ranges.trail) * profile / profile.max()
    labels.light("TRL", light, noise, 0.8, 0.08)
    return light


def afterglow(rng, ranges, telescope, noise, well, labels):
    """Persistence where earlier stars came near the full well; marks it."""
    glow = np.zeros((SIDE, SIDE))
    inner = telescope.wide[150:-150, 150:-150]
    for _ in range(rng.integers(2, 25)):
        star = inner * well / inner.max() * log_uniform(rng, 1.6, 300)
        filled = np.minimum(star / well, 1) ** rng.uniform(1, 2)
        filled[star < 0.3 * well] = 0
        add_stamp(glow, filled * log_uniform(rng, 0.3, 1), *rng.integers(0, SIDE, 2))
    glow = np.minimum(glow, 1.2) * noise * log_uniform(rng, *ranges.afterglow)
    labels.light("P", glow, noise, 1, 0.1)
    return glow


def cosmic_rays(rng):
    """Muons, scattered electrons and spots, in a detector of some thickness and pixel size."""
    charge = np.zeros((SIDE, SIDE))
    thickness, pixel = rng.uniform(15, 250), rng.uniform(10, 18)  # micrometres
    diffusion = rng.uniform(0.25, 0.5)  # pixels, from the far side of the detector
    for _ in range(rng.poisson(log_uniform(rng, 7, 240))):
        # Zenith angles of muons go as cos^2.
        angle = np.arccos(rng.uniform(0.02, 1) ** (1 / 3))
        length = min(thickness * np.tan(angle) / pixel, 400)
        steps = max(int(4 * length), 8)
        # Now and then a collision frees far more than the mean.
        excess = (
            0.35
            * rng.standard_gamma(0.6, steps)
            * rng.choice([0, 1, 4], steps, p=[0.5, 0.45, 0.05])
        )
        freed = PAIRS * thickness / np.cos(angle) / steps * np.minimum(1 + excess, 30)
        way, turn = np.linspace(0, length, steps), rng.uniform(0, 2 * np.pi)
        spread = diffusion * np.sqrt(np.linspace(0.05, 1, steps))
        collect(rng, charge, way * np.cos(turn), way * np.sin(turn), freed, spread)
    for _ in range(rng.poisson(log_uniform(rng, 3, 90))):
        # Scattering grows, and so does the charge, as an electron slows down.
        slow = np.linspace(0, 1, int(rng.exponential(60)) + 6)
        turn = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.12 + 0.25 * slow**2))
        x, y = np.cumsum(0.35 * np.cos(turn)), np.cumsum(0.35 * np.sin(turn))
        collect(rng, charge, x, y, rng.gamma(2, 250, slow.size) * (1 + 2 * slow**4), diffusion)
    for _ in range(rng.poisson(log_uniform(rng, 3, 55))):
        origin = np.zeros(1)
        collect(rng, charge, origin, origin, log_uniform(rng, 150, 8000, 1), diffusion)
    return charge


def collect(rng, charge, x, y, freed, spread, parts=12):
    """Let charge along a track diffuse into the pixels, from anywhere in the image."""
    spread = np.repeat(np.broadcast_to(spread, x.shape), parts)
    x, y = (
        np.repeat(at, parts) + rng.uniform(0, SIDE) + spread * rng.normal(size=spread.size)
        for at in (x, y)
    )
    row, column = np.floor(y).astype(int), np.floor(x).astype(int)
    inside = (row >= 0) & (row < SIDE) & (column >= 0) & (column < SIDE)
    np.add.at(charge, (row[inside], column[inside]), np.repeat(freed / parts, parts)[inside])


def bleed(electrons, well):
    """Let what exceeds the full well run up and down its column; which pixels are full."""
    full = np.zeros(electrons.shape, bool)
    for column in np.flatnonzero((electrons > well).any(0)):
        values = electrons[:, column]
        excess = np.maximum(values - well, 0)
        values -= excess
        for row in np.flatnonzero(excess):
            left = excess[row]
            for distance in range(1, SIDE):
                for target in (row - distance, row + distance):
                    if 0 <= target < SIDE and values[target] < well:
                        taken = min(well - values[target], left)
                        values[target] += taken
                        left -= taken
                if left <= 0:
                    break
        full[:, column] = values >= 0.999 * well
    return full


def defects(rng, ranges, electrons, sky, noise, labels):
    """Hot and dead lines and pixels; marks them."""
    dark_shows = sky > 6 * noise
    for name in ("HCL", "DCL"):
        for _ in range(rng.poisson(2)):
            width = int(rng.choice([1, 1, 1, 2, 3]))
            start = rng.integers(0, SIDE - width)
            ends = sorted(rng.integers(0, SIDE, 2)) if rng.uniform() < 0.5 else (0, SIDE)
            line = slice(*ends), slice(start, start + width)
            line = line if rng.uniform() < 0.8 else line[::-1]
            part = electrons[line]
            if name == "HCL":
                level = noise * log_uniform(rng, *ranges.line)
                part += level + rng.normal(0, np.sqrt(level), part.shape)
            elif dark_shows:
                part *= rng.choice([0, 0.3])
            else:
                part -= noise * rng.uniform(*ranges.dead)
            mask = np.zeros(electrons.shape, bool)
            mask[line] = True
            labels.mark(name, mask)
    for name in ("HP", "DP"):
        count = rng.poisson(log_uniform(rng, 7, 400))
        mask = np.zeros(electrons.shape, bool)
        mask.flat[rng.choice(mask.size, count, replace=False)] = True
        if name == "HP":
            electrons[mask] += noise * log_uniform(rng, *ranges.hot, count)
        elif dark_shows:
            electrons[mask] *= np.where(rng.uniform(size=count) < 0.7, 0, 0.4)
        else:
            electrons[mask] -= noise * rng.uniform(6, 30, count)
        labels.mark(name, mask)


def draw_scene(rng, ranges):
    """
    Draw an exposure and its labels.

    Parameters
    ----------
    rng : numpy.random.Generator
    ranges : Ranges

    Returns
    -------
    image : ndarray, float32, (SIDE, SIDE)
        ADU.
    positive, unsure : ndarray, uint16, (SIDE, SIDE)
        As in `training.simulation.scenes.Labels`.
    """
    labels = Labels((SIDE, SIDE))
    telescope = Telescope(rng, ranges)
    sky, read_noise = log_uniform(rng, *ranges.sky), rng.uniform(2, 12)
    noise = np.sqrt(sky + read_noise**2)
    well = rng.uniform(4e4, 2e5) + 3 * sky

    light = sky + objects(rng, ranges, telescope, noise, well, labels)
    nebulous, fringed = rng.uniform(size=2) < (0.25, 0.2)
    fringed &= ranges.both or not nebulous
    if nebulous:
        light += nebula(rng, ranges, noise, labels)
    if fringed:
        light += fringes(rng, ranges, noise, labels)
    if nebulous or fringed:
        labels.erase(np.s_[:], keep=set(NAMES) - {"BBG"})
        labels.mark("BBG", np.zeros((SIDE, SIDE), bool), np.s_[:])
    if rng.uniform() < 0.5:
        light += trails(rng, ranges, telescope.fwhm, noise, labels)
    if rng.uniform() < 0.4:
        light += afterglow(rng, ranges, telescope, noise, well, labels)
    y, x = np.indices(light.shape) * 2 / SIDE - 1
    light *= 1 - rng.uniform(0, 0.12) * (x**2 + y**2)
    light = np.maximum(light * (1 + rng.normal(0, 0.003, light.shape)), 0)

    charge = cosmic_rays(rng)
    electrons = rng.poisson(light) + charge
    full = bleed(electrons, well)
    labels.mark("SAT", full, ndimage.binary_dilation(full, np.ones((5, 5))))
    local = np.sqrt(light + read_noise**2)
    labels.mark("CR", (charge > 2.5 * local) & ~full, charge > 0.1 * noise)
    electrons += np.where(full, 0, rng.normal(0, read_noise, light.shape))
    defects(rng, ranges, electrons, sky, noise, labels)
    if rng.uniform() < 0.4:
        width = rng.integers(10, 90)
        strip = np.zeros(light.shape, bool)
        strip[:width] = True
        strip = np.rot90(strip, rng.integers(4))
        electrons[strip] = rng.normal(0, read_noise, strip.sum())
        labels.erase(strip)
        labels.mark("OV", strip)
    labels.finish()
    image = electrons / rng.uniform(0.5, 4) + rng.uniform(200, 2000)
    if rng.uniform() < 0.6:
        image = np.rint(image)
    return image.astype(np.float32), labels.positive, labels.unsure


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the scenes go; made if need be")
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hard", action="store_true", help="faint faults, on top of each other")
    options = parser.parse_args()
    ranges = HARD if options.hard else PLAIN
    write_scenes(
        options.folder,
        "mask",
        lambda rng, index: draw_scene(rng, ranges),
        options.seed,
        options.scenes,
    )


if __name__ == "__main__":
    main()
