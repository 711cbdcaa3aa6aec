"""Scenes: exposures with all that may contaminate them, and the truth about each pixel.

What counts as contaminated is defined in ``training/LABELS.md``; the numbers stand here.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from scipy import ndimage

from maxitools.classes import CLASSES
from training.simulation import bleeding, reduction
from training.simulation import contaminants as add
from training.simulation.contaminants import log_uniform
from training.simulation.fields import bright_stars, galaxies, render_stars, star_catalogue
from training.simulation.optics import random_psf

BIT = {c.name: np.uint16(1 << i) for i, c in enumerate(CLASSES)}
# Share of the scenes that hold little but hits, hot pixels and stars, and many of them: what is
# hardest to tell apart is learnt side by side.
RIVALS = 0.15
# Share of the scenes that hold much of what persistence shows on, or is taken for, with it or not.
VEILS = 0.15
# Lowest FWHM in pixels where stars are drawn to be sharp.
SHARPEST = 1.4
# Smoothing of the light of objects that decides on bright background, in pixels.
BBG_SIGMA = 6


@dataclass
class Sources:
    """Real data that scenes may be made with; see `training.simulation.sources`."""

    backgrounds: list = field(default_factory=list)
    footprints: list = field(default_factory=list)


class Labels:
    """Two bit masks over the classes: where each is, and where nobody can say.

    Attributes
    ----------
    positive, unsure : ndarray, uint16, (H, W)
        Bit i stands for class i of `maxitools.classes.CLASSES`; no bit is set in both.
    """

    def __init__(self, shape):
        self.positive = np.zeros(shape, np.uint16)
        self.unsure = np.zeros(shape, np.uint16)

    def mark(self, name, positive, unsure=None):
        """Set a class where it is positive, and where it is unsure."""
        self.positive[positive] |= BIT[name]
        if unsure is not None:
            self.unsure[unsure] |= BIT[name]

    def light(self, name, light, noise, sure, faintest):
        """Mark a class where its own light exceeds a multiple of the noise."""
        self.mark(name, light > sure * noise, light > faintest * noise)

    def erase(self, where, keep=()):
        """Remove all classes but those to keep where nothing reached the pixels."""
        kept = np.uint16(sum(BIT[name] for name in keep))
        self.positive[where] &= kept
        self.unsure[where] &= kept

    def forget(self, bits, where):
        """Remove classes from pixels in which they do not show any more."""
        self.positive[where] &= ~bits
        self.unsure[where] &= ~bits

    def doubt(self, bits, where):
        """Make classes unsure: one bit mask for all pixels, or one for each."""
        bits = np.broadcast_to(bits, self.positive.shape)[where]
        self.positive[where] &= ~bits
        self.unsure[where] |= bits

    def finish(self):
        """Make the two exclusive, and the background what no class claims."""
        self.unsure &= ~self.positive
        self.positive[self.positive == 0] = BIT["BG"]
        self.unsure[(self.unsure > 0) & (self.positive == BIT["BG"])] |= BIT["BG"]
        self.positive[self.unsure & BIT["BG"] > 0] &= ~BIT["BG"]


@dataclass
class Detector:
    """A camera, all in electrons and pixels."""

    sky: float
    read_noise: float
    well: float
    infrared: bool
    # Of its counts, where that is coarse; else one is drawn that hides nothing.
    step: float = 0.0

    @property
    def noise(self):
        """What hides in a pixel of empty sky: photons, read-out, and steps of the counts."""
        return np.sqrt(self.sky + self.read_noise**2 + self.step**2)


def random_detector(rng):
    """Draw a camera and a brightness of the sky."""
    infrared = rng.uniform() < 0.25
    read_noise = log_uniform(rng, 8, 40) if infrared else log_uniform(rng, 1.3, 15)
    sky = log_uniform(rng, 3, 50000) if rng.uniform() < 0.35 else log_uniform(rng, 30, 5000)
    well = max(log_uniform(rng, 15e3, 250e3), 2.5 * sky)
    detector = Detector(sky=sky, read_noise=read_noise, well=well, infrared=infrared)
    if rng.uniform() < 0.12:
        # Few bits, or bright counts in a short range: empty sky may be one and the same number.
        detector.step = detector.noise * log_uniform(rng, 0.4, 12)
    return detector


def draw_scene(rng, shape, sources, psf=None, detector=None, stars=None, busy=1.0, contents=None):
    """
    Draw an exposure and its labels.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W).
    sources : Sources
    psf : Psf, optional
    detector : Detector, optional
    stars : tuple of ndarray, optional
        x, y (pixels) and flux (electrons). What is not given is drawn.
    busy : float
        Factor on the probability of each contaminant.
    contents : set of str, optional
        What contaminates the exposure, instead of what is drawn: names of classes, and
        "clusters" of dead pixels. Stars saturate and have spikes in any case.

    Returns
    -------
    image : ndarray, float32, (H, W)
        ADU, or counts of a reduced frame.
    positive, unsure : ndarray, uint16, (H, W)
        As in `Labels`.
    """
    labels = Labels(shape)
    lot = rng.uniform() if contents is psf is stars is None else 1
    rivals = lot < RIVALS
    if rivals:
        contents = {"CR", "HP"} if rng.uniform() < 0.75 else {"CR"}
        contents |= {"reduction"} if rng.uniform() < 0.3 else set()
    elif lot < RIVALS + VEILS:
        contents = {"P"} if rng.uniform() < 0.75 else set()
        contents |= {name for name in ("FR", "NEB", "TRL", "BBG", "CR") if rng.uniform() < 0.4}
    detector = detector or random_detector(rng)
    # Sharp stars are what looks most like cosmic rays: more of them than telescopes deliver, but
    # not of those so sharp that they look the same, which teach that what is compact is a star.
    # Compact hits are lost by that where a frame has few stars to compare with.
    sharp = log_uniform(rng, SHARPEST, 1.9 if rivals else 2.4) if rng.uniform() < 0.3 else None
    psf = psf or random_psf(rng, fwhm=sharp).dithered(rng)
    clean = rng.uniform() < 0.1
    # What looks alike has to be seen together, trails over nebulae and fringes, say; and most
    # nights are calm.
    busy = 0.0 if clean else busy * rng.choice([0.3, 1.0, 1.7])

    def share(name, probability):
        return rng.uniform() < busy * probability if contents is None else name in contents

    real = sources.backgrounds and rng.uniform() < 0.3

    x, y, flux = stars or _stars(rng, shape, detector, psf, rivals and sharp is not None)
    if real:
        electrons, light = _real_sky(rng, shape, detector, sources.backgrounds, labels)
    else:
        light = np.full(shape, detector.sky, np.float32)
        objects = _objects(rng, shape, detector, psf, (x, y, flux), share, labels)
        light += objects
    diffuse, fringed_or_nebulous = _diffuse(rng, shape, detector, psf, share, labels)
    bright = light - detector.sky
    smooth = ndimage.gaussian_filter(bright, BBG_SIGMA)
    if not real:
        labels.light("BBG", smooth, detector.noise, 3, 0.5)
    if fringed_or_nebulous:
        labels.positive &= ~BIT["BBG"]
        labels.unsure |= BIT["BBG"]
    diffuse += _trails(rng, shape, detector, psf, smooth, share, labels)
    diffuse += _persistence(rng, shape, detector, psf, (x, y, flux), bright, share, labels)
    light += diffuse
    charge = _cosmic_rays(rng, shape, sources, share, rivals)
    if share("reduction", 0.08):
        lag = reduction.random_lag(rng)
        charge = lag(charge)
        if not real:
            held = np.minimum(light, detector.well)
            light += lag(held) - held

    if real:
        electrons += _photon_noise(rng, np.maximum(diffuse, 0)) + np.minimum(diffuse, 0)
    else:
        light *= _flat_field(rng, shape, clean)
        if share("reduction", 0.1):
            strength = log_uniform(rng, 0.1, 2) * detector.noise / detector.sky
            light *= 1 + min(strength, 0.1) * reduction.flat_structure(rng, shape)
        electrons = _photon_noise(rng, np.maximum(light, 0))
    lifted = np.float32(0)
    if share("reduction", 0.08):
        # Divided by a flat field, all is as bright as elsewhere, but for the noise.
        lifted = detector.noise * np.sqrt(1 / reduction.lost_light(rng, shape) - 1)
        electrons += lifted * rng.standard_normal(shape, dtype=np.float32)
    local_noise = np.sqrt(np.maximum(light, 0) + detector.read_noise**2 + lifted**2)
    electrons, saturated = _saturation(rng, electrons + charge, light + charge, detector, labels)
    hit = add.whole_tracks(charge, local_noise) & ~saturated
    labels.mark("CR", hit, charge > 0.1 * detector.noise)
    if not real:
        electrons += _read_out_noise(rng, shape, detector)
    electrons = _defects(rng, electrons, detector, share, labels)
    if not real or rng.uniform() < 0.5:
        electrons = _unexposed(rng, electrons, detector, share, labels)
    if share("reduction", 0.6):
        electrons = _reduction(rng, electrons, detector, labels)
    labels.finish()
    return _digitise(rng, electrons, detector), labels.positive, labels.unsure


def _stars(rng, shape, detector, psf, many):
    """A catalogue whose faintest stars drown in the noise; often a few that saturate on top."""
    if many:
        return star_catalogue(
            rng,
            shape,
            density=log_uniform(rng, 1500, 30000),
            faintest=detector.noise * log_uniform(rng, 8, 60),
            brightest=detector.well * log_uniform(rng, 1, 300),
        )
    faintest = detector.noise * log_uniform(rng, 2, 60)
    brightest = detector.well * log_uniform(rng, 3, 3000)
    density = 10 ** rng.uniform(2.3 if psf.fwhm < 2.4 else 0.7, 4.3)
    if rng.uniform() < 0.15:
        # Crowded: from a star in 50 pixels to one in every disc of the seeing.
        density = log_uniform(rng, 2e4, 2e5 / max(psf.fwhm / 2, 1) ** 2 + 3e4)
        faintest = detector.noise * log_uniform(rng, 3, 150)
    x, y, flux = star_catalogue(rng, shape, density=density, faintest=faintest, brightest=brightest)
    count = rng.choice([0, 0, 1, 2, 4, 8])
    peak = detector.well / psf.native.max()
    places = rng.uniform(-20, shape[1] + 20, count), rng.uniform(-20, shape[0] + 20, count)
    if rng.uniform() < 0.3:
        # Cut by an edge.
        axis = rng.integers(2)
        places[axis][:] = rng.choice([0, shape[1 - axis]], count) + rng.normal(0, 4, count)
    return (
        np.append(x, places[0]),
        np.append(y, places[1]),
        np.append(flux, peak * log_uniform(rng, 0.3, 1000, count)),
    )


def _objects(rng, shape, detector, psf, stars, share, labels):
    """Light of stars, galaxies and all that they scatter; marks spikes."""
    x, y, flux = stars
    bright = bright_stars(flux, psf, detector.noise, limit=60)
    objects = render_stars(shape, x, y, flux, psf, bright)
    if psf.vanes:
        for star in bright:
            mark_spikes(labels, x[star], y[star], flux[star], psf, detector.noise)
    if rng.uniform() < 0.8:
        objects += galaxies(rng, shape, psf, detector.noise)
    if share("BBG", 0.35):
        peak = detector.noise * log_uniform(rng, 1, 300)
        objects += peak * add.reflections(rng, shape, rng.integers(1, 4))
    return objects


def mark_spikes(labels, x, y, flux, psf, noise):
    """Mark what stands out of the ring at the same distance from a star.

    Parameters
    ----------
    labels : Labels
    x, y, flux, noise : float
        Pixels; electrons.
    psf : Psf
        Or what else has its `wide` and `fwhm`.
    """
    light = psf.wide * np.float32(flux)
    half = light.shape[0] // 2
    shape = labels.positive.shape
    column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
    top, left = max(row - half, 0), max(column - half, 0)
    bottom, right = min(row + half + 1, shape[0]), min(column + half + 1, shape[1])
    if top >= bottom or left >= right:
        return
    cut = (
        slice(top - row + half, bottom - row + half),
        slice(left - column + half, right - column + half),
    )
    ring = (_ring_medians(psf)[0] * np.float32(flux))[cut]
    light, radius = light[cut], _ring_medians(psf)[1][cut]
    above = light - ring
    view = np.s_[top:bottom, left:right]
    spike = (above > 1.5 * noise) & (light > 1.6 * ring) & (radius > 2.5 * psf.fwhm)
    labels.positive[view][spike] |= BIT["SP"]
    labels.unsure[view][(above > 0.3 * noise) & (radius > 1.2 * psf.fwhm)] |= BIT["SP"]


def _ring_medians(psf):
    """Median of the wide image on the ring through each pixel, and the rings' radii."""
    if not hasattr(psf, "rings"):
        radius, ring, order, ends = _rings(psf.wide.shape[0])
        pixels = np.split(psf.wide.ravel()[order], ends)
        medians = np.array([np.median(part) for part in pixels], np.float32)
        psf.rings = medians[ring], radius
    return psf.rings


@cache
def _rings(side):
    """Of a square of odd side: radii, rings, its pixels ring by ring, and where each ring ends."""
    axis = np.arange(side, dtype=np.float32) - side // 2
    radius = np.hypot(axis[:, None], axis)
    ring = np.rint(radius).astype(np.int16)
    order = np.argsort(ring, axis=None, kind="stable").astype(np.int32)
    return radius, ring, order, np.cumsum(np.bincount(ring.ravel()))[:-1]


def _diffuse(rng, shape, detector, psf, share, labels):
    """Gradients, nebulae and fringes; whether the latter two are there."""
    noise = detector.noise
    light = np.zeros(shape, np.float32)
    rows, columns = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    if rng.uniform() < 0.5:
        slopes = rng.normal(0, rng.choice([0.03, 0.03, 0.15]), 2) * detector.sky
        light += slopes[0] * rows + slopes[1] * columns
    if rng.uniform() < 0.3:
        centre = rng.uniform(-1, 1, 2)
        fall = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
        light -= rng.choice([0.08, 0.08, 0.3, 0.6]) * rng.uniform() * detector.sky * fall
    light = np.maximum(light, -0.9 * detector.sky)
    if share("reduction", 0.15):
        light += noise * log_uniform(rng, 0.2, 10) * reduction.clouds(rng, shape)
    nebulous, fringed = share("NEB", 0.24), share("FR", 0.2)
    if nebulous:
        peak = noise * log_uniform(rng, 2, 300)
        if rng.uniform() < 0.2:
            nebula = peak * add.planetary_nebulae(rng, shape, psf.fwhm)
        else:
            nebula = peak * add.nebula(rng, shape)
        labels.light("NEB", nebula, noise, 1, 0.1)
        light += nebula
    if fringed:
        amplitude = log_uniform(rng, 0.55, 4 if rng.uniform() < 0.4 else 80)
        if rng.uniform() < 0.25:
            # They die out where the detector is thick, or the filter lets no lines through.
            edge = rng.uniform(1, 6) * (add.random_field(rng, shape, -4) + rng.uniform(-0.5, 1))
            amplitude = amplitude / (1 + np.exp(-edge))
        light += noise * amplitude * add.fringes(rng, shape)
        amplitude = np.broadcast_to(amplitude, shape)
        labels.mark("FR", amplitude > 0.5, amplitude > 0.05)
    return light, nebulous or fringed


def _trails(rng, shape, detector, psf, smooth, share, labels):
    noise = detector.noise
    light = np.zeros(shape, np.float32)
    if share("TRL", 0.5):
        for _ in range(rng.choice([1, 1, 1, 2, 3, 5])):
            ridge = log_uniform(rng, 0.8, 4 if rng.uniform() < 0.45 else 150)
            if rng.uniform() < 0.12:
                # Up to saturation, and beyond.
                ridge = log_uniform(rng, 100, max(3 * detector.well / noise, 200))
            light += noise * ridge * add.trail(rng, shape, psf.fwhm)
        # Nobody finds a faint one where stars crowd.
        found = light > 0.8 * np.maximum(noise, 0.1 * smooth)
        labels.mark("TRL", found, light > 0.08 * noise)
    return light


def _persistence(rng, shape, detector, psf, stars, bright, share, labels):
    noise = detector.noise
    if not share("P", 0.6 if detector.infrared else 0.4):
        return np.float32(0)
    level = noise * log_uniform(rng, 1.5, 60)
    if rng.uniform() < 0.3:
        glow = level * add.burnt_in(rng, shape, rng.integers(1, 40))
    else:
        glow = level * _afterglow(rng, shape, detector, psf, stars)
    # Nobody finds it under what is much brighter.
    labels.light("P", glow, np.maximum(noise, 0.2 * bright), 1, 0.1)
    return glow


def _afterglow(rng, shape, detector, psf, stars):
    """What is left of an earlier exposure: of the same stars elsewhere, or of a trail."""
    x, y, flux = stars
    if rng.uniform() < 0.5:
        # The earlier exposure was dithered from this one; else of another field.
        x, y = x + rng.normal(0, 60), y + rng.normal(0, 60)
    else:
        x, y = rng.uniform(0, shape[1], len(x)), rng.uniform(0, shape[0], len(y))
    chosen = np.argsort(-flux)[: rng.integers(1, 40)]
    peak = detector.well / psf.native.max()
    brightness = peak * log_uniform(rng, 0.5, 1000, len(chosen))
    spots = render_stars(shape, x[chosen], y[chosen], brightness, psf, range(min(len(chosen), 12)))
    if rng.uniform() < 0.04:
        spots += detector.well * log_uniform(rng, 0.5, 10) * add.trail(rng, shape, psf.fwhm)
    if rng.uniform() < 0.2:
        spots, _ = bleeding.saturate(rng, spots, detector.well)
    return add.afterglow(rng, spots, detector.well)


def _cosmic_rays(rng, shape, sources, share, rivals):
    if not share("CR", 0.75):
        return np.zeros(shape, np.float32)
    if rivals:
        return _small_hits(rng, shape, sources.footprints)
    most = 3000 if rng.uniform() < 0.12 else 400
    count = _number_of_hits(rng, shape, most / 200, most)
    if sources.footprints and rng.uniform() < 0.4:
        charge = add.footprints(rng, shape, max(count // 2, 1), sources.footprints)
        if rng.uniform() < 0.5:
            return charge
        return charge + add.cosmic_rays(rng, shape, count // 2)
    return add.cosmic_rays(rng, shape, count)


def _number_of_hits(rng, shape, fewest, most):
    """At least one; the limits are for 512x512 pixels."""
    return max(1, int(log_uniform(rng, fewest, most) * shape[0] * shape[1] / 512**2))


def _small_hits(rng, shape, catalogue):
    """Charge of hits of which most are small, as thin detectors have them."""
    count = _number_of_hits(rng, shape, 5, 500)
    thin = {"thickness": log_uniform(rng, 5, 25), "diffusion": rng.uniform(0.2, 0.7)}
    charge = add.cosmic_rays(rng, shape, count - count // 2, **(thin if rng.random() < 0.7 else {}))
    if rng.uniform() < 0.7:
        catalogue = [event for event in catalogue if len(event[0]) <= 12]
    if catalogue:
        charge += add.footprints(rng, shape, count // 2, catalogue)
    return charge


def _photon_noise(rng, light):
    """Poisson deviates; normal ones where the two cannot be told apart."""
    if light.mean() > 100:
        return light + np.sqrt(light) * rng.standard_normal(light.shape, dtype=np.float32)
    return rng.poisson(np.minimum(light, 1e6)).astype(np.float32) + np.maximum(light - 1e6, 0)


def _flat_field(rng, shape, clean):
    """Response: pixel to pixel, texture, shadows of dust, colour filters, amplifiers."""
    response = 1 + rng.choice([0, 0.003, 0.01]) * rng.standard_normal(shape, dtype=np.float32)
    if rng.uniform() < 0.2:
        response *= 1 + rng.uniform(0, 0.01) * add.random_field(rng, shape, rng.uniform(-3, 0))
    if rng.uniform() < 0.15:
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        for _ in range(rng.integers(1, 6)):
            radius = log_uniform(rng, 4, 60)
            place = rng.uniform(0, 1, 2) * shape
            distance = np.hypot(rows - place[0], columns - place[1]) / radius
            soft, hole = log_uniform(rng, 0.02, 0.3), rng.uniform(0, 0.6)
            ring = np.tanh((distance - hole) / soft) - np.tanh((distance - 1) / soft)
            response *= 1 - log_uniform(rng, 0.005, 0.2) * 0.5 * np.maximum(ring, 0)
    if rng.uniform() < 0.05 and not clean:
        response *= np.tile(rng.uniform(0.6, 1, (2, 2)), (shape[0] // 2 + 1, shape[1] // 2 + 1))[
            : shape[0], : shape[1]
        ]
    if rng.uniform() < 0.15:
        response[:, rng.integers(shape[1]) :] *= 1 + rng.normal(0, 0.015)
    return response.astype(np.float32)


def _saturation(rng, electrons, expected, detector, labels):
    """Clip at the full well in one of the ways that detectors have."""
    filled, saturated = bleeding.saturate(rng, electrons, detector.well)
    labels.mark("SAT", saturated, ndimage.maximum_filter(saturated.view(np.uint8), 5) > 0)
    way = rng.choice(["level", "level", "level", "soft", "turned", "constant", "wrapped"])
    if way == "soft":
        filled[saturated] *= rng.uniform(0.9, 1.1, saturated.sum())
    elif way == "turned":
        excess = np.clip(expected / detector.well - rng.uniform(2, 10), 0, None)
        filled -= np.where(saturated, detector.well * np.minimum(0.2 * excess, 0.98), 0)
    elif way == "constant":
        filled[saturated] = detector.well * rng.choice([0.0, 1.3, 3.0])
    elif way == "wrapped":
        filled[expected > detector.well * rng.uniform(1, 3)] -= 2 * detector.well
    if saturated.any() and rng.uniform() < 0.3:
        filled += bleeding.aftermath(rng, saturated, detector.noise)
    return filled, saturated


def _read_out_noise(rng, shape, detector):
    """White noise, sometimes correlated as after resampling; rows, columns, ripples."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    if rng.uniform() < 0.1:
        noise = ndimage.gaussian_filter(noise, rng.uniform(0.4, 0.9))
        noise /= noise.std()
    elif rng.uniform() < 0.08:
        # Each pixel of a CMOS detector has an amplifier of its own, good or bad.
        noise *= np.exp(rng.uniform(0.1, 0.4) * rng.standard_normal(shape, dtype=np.float32))
    noise *= np.float32(detector.read_noise)
    sigma = detector.noise
    if rng.uniform() < 0.2:
        lines = (shape[0], 1) if rng.uniform() < 0.7 else (1, shape[1])
        noise += rng.uniform(0.05, 0.8) * sigma * rng.standard_normal(lines)
    if rng.uniform() < 0.1:
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        kx, ky = rng.normal(0, 1, 2)
        phase = 2 * np.pi * (kx * columns + ky * rows) / log_uniform(rng, 3, 40)
        noise += rng.uniform(0.1, 0.7) * sigma * np.sin(phase)
    if rng.uniform() < 0.1:
        noise[rng.integers(shape[0]) :] += rng.uniform(-3, 3) * sigma
    if rng.uniform() < 0.12:
        noise += reduction.bias_drift(rng, shape, sigma)
    if rng.uniform() < 0.08:
        noise += reduction.pickup(rng, shape, sigma)
    return noise


def _defects(rng, electrons, detector, share, labels):
    """Hot and dead pixels, columns, lines and clusters."""
    sigma, shape = detector.noise, electrons.shape
    area = electrons.size / 512**2
    if share("HCL", 0.4):
        faintest = log_uniform(rng, 1.5, 30)
        for pixels in add.defects(rng, shape, rng.integers(1, 9), lines=True):
            level = sigma * log_uniform(rng, faintest, 40 * faintest)
            part = electrons[pixels]
            part += level * (1 + rng.uniform(0, 0.2) * rng.standard_normal(part.shape))
            part += np.sqrt(level) * rng.standard_normal(part.shape)
            labels.positive[pixels] |= BIT["HCL"]
    if share("DCL", 0.45):
        for pixels in add.defects(rng, shape, rng.integers(1, 9), lines=True):
            _kill(rng, electrons, pixels, detector, faintest=1.5)
            labels.positive[pixels] |= BIT["DCL"]
    if share("clusters", 0.25):
        dead = add.clusters(rng, shape, rng.integers(1, 12))
        _kill(rng, electrons, dead, detector, faintest=4)
        labels.mark("DCL", dead)
    if share("HP", 0.5):
        faintest = log_uniform(rng, 5, 40)
        for pixels in add.defects(
            rng, shape, 1 + int(area * log_uniform(rng, 3, 900)), lines=False
        ):
            electrons[pixels] += sigma * log_uniform(rng, faintest, 50 * faintest)
            labels.positive[pixels] |= BIT["HP"]
    if share("DP", 0.5):
        for pixels in add.defects(
            rng, shape, 1 + int(area * log_uniform(rng, 3, 900)), lines=False
        ):
            _kill(rng, electrons, pixels, detector, faintest=4)
            labels.positive[pixels] |= BIT["DP"]
    return np.minimum(electrons, 4 * detector.well)


def _kill(rng, electrons, pixels, detector, faintest):
    """Take most of the light away; where there is hardly any, fall below the sky."""
    sigma = detector.noise
    left = rng.choice([0.0, rng.uniform(0, 0.85)])
    if detector.sky * (1 - left) > faintest * sigma:
        electrons[pixels] *= left
        electrons[pixels] += rng.normal(0, detector.read_noise, electrons[pixels].shape)
    else:
        # A pixel that was hot in the dark frame, say: too much was subtracted.
        electrons[pixels] -= sigma * log_uniform(rng, faintest, 15 * faintest)


def _unexposed(rng, electrons, detector, share, labels):
    """Strips without light: at the bias level, or at zero."""
    if not share("OV", 0.35):
        return electrons
    dark = add.strips(rng, electrons.shape)
    level = 0.0
    noise = detector.read_noise
    if rng.uniform() < 0.15:
        # Pixels that were never read are filled with a constant.
        noise, level = 0.0, rng.choice([0.0, -detector.sky * log_uniform(rng, 0.1, 10)])
    elif detector.sky < 2 * detector.noise:
        level = detector.sky - detector.noise * log_uniform(rng, 2, 100)
    values = level + noise * rng.standard_normal(electrons.shape, dtype=np.float32)
    if rng.uniform() < 0.2:
        # Charge left behind by the last columns, and the settling of the amplifier.
        values += (
            detector.sky
            * rng.uniform(0, 0.3)
            * np.exp(-ndimage.distance_transform_edt(dark) / rng.uniform(0.5, 5))
        )
    electrons = np.where(dark, values, electrons)
    labels.erase(dark)
    labels.mark("OV", dark)
    return electrons


# What is mended together with the pixels that it spoils.
DEFECTS = BIT["CR"] | BIT["HP"] | BIT["DP"] | BIT["HCL"] | BIT["DCL"]


def _reduction(rng, electrons, detector, labels):
    """What read-out and reduction add, and what they take away."""
    sigma, sky, shape = detector.noise, detector.sky, electrons.shape
    if rng.uniform() < 0.3:
        electrons += reduction.amplifiers(rng, shape, sigma, sky)
    if rng.uniform() < (0.5 if detector.infrared else 0.05):
        electrons += reduction.reset_pattern(rng, shape, sigma)
    if rng.uniform() < 0.3:
        mended = reduction.bridged(rng, electrons, int(log_uniform(rng, 1, 15)))
        labels.forget(DEFECTS, mended)
    saturated = labels.positive & BIT["SAT"] > 0
    if saturated.any() and rng.uniform() < 0.5:
        mended = reduction.mended_bleeding(rng, electrons, saturated)
        labels.forget(DEFECTS, mended)
        labels.doubt(BIT["SAT"], mended)
    if rng.uniform() < 0.2:
        where = reduction.patches(rng, shape)
        if rng.uniform() < 0.5:
            # A frame from which somebody has removed what was found, here or everywhere.
            spots = (labels.positive & DEFECTS > 0) & (rng.random(shape) < rng.choice([0.5, 1]))
            where |= ndimage.binary_dilation(spots)
        labels.forget(DEFECTS, where)
        if reduction.patched(rng, electrons, where, sigma):
            labels.doubt(BIT["DCL"] | BIT["DP"] | BIT["OV"], where)
    if rng.uniform() < 0.1:
        electrons = reduction.resampled(rng, electrons)
        spots = (labels.positive | labels.unsure) & DEFECTS
        around = np.lib.stride_tricks.sliding_window_view(np.pad(spots, 1), (3, 3))
        labels.unsure |= np.bitwise_or.reduce(around, axis=(2, 3))
    if rng.uniform() < 0.08:
        electrons, changed = reduction.sky_subtracted(rng, electrons, sigma)
        labels.doubt(BIT["BBG"] | BIT["NEB"] | BIT["FR"], changed)
    if rng.uniform() < 0.4:
        blank, dim = reduction.trimmed_edges(rng, electrons, sigma, sky)
        labels.erase(blank)
        labels.doubt(BIT["OV"] | BIT["DCL"], blank)
        labels.doubt(BIT["OV"] | BIT["DCL"] | BIT["BBG"] | BIT["NEB"], dim)
        labels.doubt(labels.positive & BIT["CR"], dim)
    return electrons


def _real_sky(rng, shape, detector, backgrounds, labels):
    """Cut from a real frame, scaled to the detector's noise, with what is known of it."""
    frame = backgrounds[rng.integers(len(backgrounds))]
    corner = [
        rng.integers(max(a - n, 0) + 1) for a, n in zip(frame.level.shape, shape, strict=True)
    ]
    cut = tuple(slice(c, c + n) for c, n in zip(corner, shape, strict=True))
    turn = rng.integers(8)
    residual, level, positive, unsure, saturated = (
        _oriented(turn, _filled(part[cut], shape))
        for part in (frame.residual, frame.level, frame.positive, frame.unsure, frame.saturated)
    )
    sigma = detector.noise
    electrons = detector.sky + sigma * (residual + level)
    light = detector.sky + sigma * np.maximum(ndimage.median_filter(residual, 3) + level, 0)
    for name in frame.everywhere:
        labels.mark(name, np.s_[:])
    for name in frame.unknown:
        labels.unsure |= BIT[name]
    labels.positive |= positive
    labels.unsure |= unsure
    rim = (
        ndimage.binary_dilation(saturated, np.ones((5, 5), bool)) if saturated.any() else saturated
    )
    labels.mark("SAT", saturated, rim)
    bright = np.maximum(ndimage.gaussian_filter(residual, BBG_SIGMA), np.abs(level))
    labels.mark("BBG", np.zeros(shape, bool), bright > 0.5)
    labels.mark("SP", np.zeros(shape, bool), bright > 2)
    return electrons.astype(np.float32), light.astype(np.float32)


def _filled(part, shape):
    """Mirror a part that is smaller than the scene up to its size."""
    return np.pad(
        part, [(0, n - s) for s, n in zip(part.shape, shape, strict=True)], mode="reflect"
    )


def _oriented(which, image):
    """One of the eight turns and flips of a square image."""
    image = np.rot90(image, which % 4)
    return (image.T if which > 3 else image).copy()


def _digitise(rng, electrons, detector):
    """Electrons to counts: raw integers over a bias, or a reduced frame."""
    gain = detector.step or log_uniform(rng, 0.2, max(1.5 * detector.noise, 0.3))
    integers = detector.step > 0 or rng.uniform() < 0.5
    sixteen_bits = integers and rng.uniform() < 0.5
    if sixteen_bits:
        # The full well fits: what the converter clips would be saturated, too.
        gain = max(gain, detector.well / 60000)
    counts = electrons / gain
    if integers:
        # A bias that leaves room for what is darker than no light.
        bias = rng.uniform(100, 2000) - min(0, np.percentile(counts[::8, ::8], 1))
        counts = np.rint(counts + bias)
    elif rng.uniform() < 0.6:
        counts = (counts - detector.sky / gain) * log_uniform(rng, 1e-3, 10)
    if sixteen_bits:
        counts = np.clip(counts, 0, 65535)
    return counts.astype(np.float32)
