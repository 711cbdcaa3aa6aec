"""Fields of stars and galaxies, in electrons and without noise."""

import numpy as np
from scipy import fft
from scipy.signal import oaconvolve

from training.simulation.contaminants import random_field
from training.simulation.optics import OVERSAMPLING


def star_catalogue(rng, shape, density=None, faintest=100.0, brightest=1e7, slope=None, margin=50):
    """Draw the stars of a field.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        (H, W) of the image in pixels.
    density : float, optional
        Stars per megapixel brighter than `faintest`; from 10 to 30 000 by default, evenly in its
        logarithm.
    faintest, brightest : float
        Limits of the flux in electrons.
    slope : float, optional
        Exponent a of the cumulative counts, N(>F) ~ F^-a: 0.5 to 1.1 by default, which is 0.2 to
        0.44 per magnitude (1.5 would be a uniform space without extinction).
    margin : int
        Stars are drawn that far beyond the edges too, in pixels.

    Returns
    -------
    x, y : ndarray of float64, shape (n,)
        Positions; integers are centres of pixels.
    flux : ndarray of float64, shape (n,)
        Electrons.
    """
    height, width = shape
    if density is None:
        density = 10 ** rng.uniform(1, 4.5)
    if slope is None:
        slope = rng.uniform(0.5, 1.1)
    area = (height + 2 * margin) * (width + 2 * margin)
    n = rng.poisson(density * area / 1e6)
    x = rng.uniform(-margin, width + margin, n)
    y = rng.uniform(-margin, height + margin, n)
    if rng.random() < 0.16:
        clustered = rng.random(n) < rng.uniform(0.2, 0.8)
        # Projected Plummer profile (Plummer 1911), the simplest that looks like a cluster.
        u = rng.uniform(0.02, 1, n)
        radius = rng.uniform(0.03, 0.2) * max(shape) * np.sqrt(1 / u - 1)
        angle = rng.uniform(0, 2 * np.pi, n)
        centre = rng.uniform(0, 1, 2)
        x = np.where(clustered, centre[0] * width + radius * np.cos(angle), x)
        y = np.where(clustered, centre[1] * height + radius * np.sin(angle), y)
    lowest = (brightest / faintest) ** -slope
    flux = faintest * rng.uniform(lowest, 1, n) ** (-1 / slope)
    double = np.flatnonzero(rng.random(n) < rng.uniform(0, 0.15))
    separation = 10 ** rng.uniform(0, 1.5, double.size)
    angle = rng.uniform(0, 2 * np.pi, double.size)
    x = np.append(x, x[double] + separation * np.cos(angle))
    y = np.append(y, y[double] + separation * np.sin(angle))
    return x, y, np.append(flux, flux[double] * 10 ** rng.uniform(-1.5, 0, double.size))


def bright_stars(flux, psf, noise, limit=300):
    """Which stars deserve the wide image of a point-spread function.

    Parameters
    ----------
    flux : ndarray, shape (n,)
        Electrons.
    psf : Psf
        With its wide image.
    noise : float
        Noise of the sky in electrons; wings fainter than a third of it are not worth drawing.
    limit : int
        Largest number of stars, the brightest ones.

    Returns
    -------
    ndarray of int
        Indices, from the brightest star on.
    """
    brightest = np.argsort(-flux)[:limit]
    return brightest[flux[brightest] * psf.wings.max() > noise / 3]


def render_stars(shape, x, y, flux, psf, bright=()):
    """Image stars: all with the core of a point-spread function, some with its wings.

    Parameters
    ----------
    shape : tuple of int
        (H, W) in pixels.
    x, y, flux : ndarray, shape (n,)
        Positions, quantised to a fine pixel, and electrons.
    psf : Psf
    bright : sequence of int
        Indices of the stars drawn with spikes and halo; see `bright_stars`.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Electrons.
    """
    bright = np.asarray(bright, int)
    faint = np.ones(len(flux), bool)
    faint[bright] = False
    column = np.floor((x + 0.5) * OVERSAMPLING).astype(int)
    row = np.floor((y + 0.5) * OVERSAMPLING).astype(int)
    image = np.zeros(shape, np.float32)
    for local, chosen in psf.groups(x, y):
        drawn = chosen & faint
        image += _render_faint(shape, column[drawn], row[drawn], flux[drawn], local)
        # One by one, because a transform leaves ripples of 1e-7 of the brightest star everywhere.
        for i in bright[chosen[bright]]:
            pixel = row[i] // OVERSAMPLING, column[i] // OVERSAMPLING
            place = row[i] % OVERSAMPLING * OVERSAMPLING + column[i] % OVERSAMPLING
            core = local.stamps[place]
            add_stamp(image, core * np.float32(flux[i] * local.core_share), *pixel)
            add_stamp(image, local.wings * np.float32(flux[i]), *pixel)
    return image


def _render_faint(shape, column, row, flux, psf):
    """Convolve stars at pixels of the fine grid with the core, and bin.

    Stars at the same place within their pixel share a stamp of native pixels, so that the
    transforms are no larger than the image. Few stars are stamped one by one, which is faster.
    """
    stamps = psf.stamps
    place = row % OVERSAMPLING * OVERSAMPLING + column % OVERSAMPLING
    y, x = row // OVERSAMPLING, column // OVERSAMPLING
    if len(flux) < shape[0] * shape[1] / 30:
        image = np.zeros(shape, np.float32)
        for i, electrons in enumerate(flux.astype(np.float32)):
            add_stamp(image, electrons * stamps[place[i]], y[i], x[i])
        return image
    pad = stamps.shape[1] // 2
    height, width = shape[0] + 2 * pad, shape[1] + 2 * pad
    y, x = y + pad, x + pad
    inside = (y >= 0) & (x >= 0) & (y < height) & (x < width)
    if not inside.any():
        return np.zeros(shape, np.float32)
    stars = np.zeros((len(stamps), height, width), np.float32)
    np.add.at(stars, (place[inside], y[inside], x[inside]), flux[inside])
    # What wraps around stays within the padding.
    size = [fft.next_fast_len(n + pad, real=True) for n in (height, width)]
    product = (fft.rfft2(stars, size) * fft.rfft2(stamps, size)).sum(0)
    image = fft.irfft2(product, size)[2 * pad : 2 * pad + shape[0], 2 * pad : 2 * pad + shape[1]]
    return np.maximum(image, 0)


def add_stamp(image, stamp, row, column):
    """Add a stamp of odd shape centred on a pixel to an image, in place, cut at its edges."""
    half_y, half_x = stamp.shape[0] // 2, stamp.shape[1] // 2
    top, left = max(row - half_y, 0), max(column - half_x, 0)
    bottom = min(row + half_y + 1, image.shape[0])
    right = min(column + half_x + 1, image.shape[1])
    if top < bottom and left < right:
        y, x = row - half_y, column - half_x
        image[top:bottom, left:right] += stamp[top - y : bottom - y, left - x : right - x]


def galaxies(rng, shape, psf, noise, density=None, big=None):
    """Image galaxies: bulges and discs at all inclinations, some big ones with envelopes.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        (H, W) in pixels.
    psf : Psf
    noise : float
        Noise of the sky in electrons per pixel; sets how bright the galaxies are.
    density : float, optional
        Galaxies per megapixel; 3 to 1000, evenly in the logarithm, by default.
    big : int, optional
        Number of galaxies of tens to hundreds of pixels; most often 0 by default.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Electrons.
    """
    if density is None:
        density = 10 ** rng.uniform(0.5, 3)
    if big is None:
        big = rng.choice([0, 1, 3, 8], p=[0.6, 0.16, 0.14, 0.1])
    image = np.zeros(shape, np.float32)
    for i in range(rng.poisson(density * image.size / 1e6) + big):
        if i < big:
            radius = 10 ** rng.uniform(1.2, 2.2)
            surface = noise * 10 ** rng.uniform(-0.5, 1.5)
        else:
            radius = min(psf.fwhm * 10 ** rng.uniform(-0.4, 0.9), 60)
            surface = noise * 10 ** rng.normal(0, 0.6)
        angle = rng.uniform(0, np.pi)
        row, column = (int(rng.integers(0, side)) for side in shape)
        bulge = rng.beta(0.5, 1)
        # A disc seen at a random inclination, never thinner than a tenth of its diameter.
        flat = max(rng.uniform(0, 1) ** 1.5, rng.uniform(0.08, 0.25))
        parts = [(1 - bulge, radius, flat, rng.uniform(0.7, 1.3))]
        parts.append((bulge, radius * rng.uniform(0.1, 0.6), flat**0.3, rng.uniform(2, 5)))
        structured = i < big and rng.uniform() < 0.6
        if i < big:
            parts.append((0.1, 2 * radius, flat**0.5, rng.uniform(1, 2)))
        for k, (weight, size, ratio, index) in enumerate(parts):
            reach = min(6 * size + 3, max(shape))
            light = sersic(size, ratio, angle, index, reach)
            light *= surface * weight * (radius / size) ** rng.uniform(0.5, 1.5)
            if structured and k == 0:
                light *= disc_structure(rng, size, ratio, angle, reach)
            add_stamp(image, light, row, column)
    if not image.any():
        return image
    return np.maximum(oaconvolve(image, psf.native, mode="same").astype(np.float32), 0)


def sersic(radius, ratio, angle, index, reach):
    """Sersic profile (1963), 1 at the effective radius on the major axis.

    Parameters
    ----------
    radius : float
        Effective radius in pixels.
    ratio : float
        Minor to major axis.
    angle : float
        Position angle of the major axis from the x axis, in radians.
    index : float
        Sersic index; 1 is an exponential disc, 4 a de Vaucouleurs bulge.
    reach : float
        Half the side of the stamp in pixels.

    Returns
    -------
    ndarray of float32, shape (n, n)
        n is odd.
    """
    axis, along, across = _disc_axes(ratio, angle, reach)
    # The cusp of the middle pixel is smoothed over about its own size.
    r = np.sqrt(along**2 + across**2 + np.float32(0.1)) / np.float32(radius)
    b = 2 * index - 1 / 3 + 4 / (405 * index)  # Ciotti & Bertin (1999)
    edge = np.clip(4 * (1 - np.sqrt(axis**2 + axis[:, None] ** 2) / reach), 0, 1)
    return np.exp(-np.float32(b) * (r ** np.float32(1 / index) - 1)) * edge


def disc_structure(rng, radius, ratio, angle, reach):
    """What a disc has beside its profile: spiral arms, or a lane of dust when seen edge-on.

    Parameters
    ----------
    rng : numpy.random.Generator
    radius, ratio, angle, reach : float
        As for `sersic`.

    Returns
    -------
    ndarray of float32, shape (n, n)
        Factor on the light of the disc.
    """
    _, along, across = _disc_axes(ratio, angle, reach)
    if ratio < 0.25:
        height = across * np.float32(ratio) / np.float32(radius * rng.uniform(0.02, 0.08))
        lane = np.exp(-((height - np.float32(rng.normal(0, 0.7))) ** 2))
        return 1 - np.float32(rng.uniform(0.3, 0.95)) * lane
    distance = np.log((np.hypot(along, across) + 1) / np.float32(radius))
    # Logarithmic spirals; Kennicutt (1981) has pitch angles from 5 to 35 degrees.
    winding = np.float32(rng.choice([-1, 1]) / np.tan(np.radians(rng.uniform(8, 35))))
    count = rng.choice([2, 2, 2, 3, 4])
    phase = count * (np.arctan2(across, along) - winding * distance)
    narrow, strength = np.float32(rng.uniform(1, 5)), np.float32(rng.uniform(0.3, 0.95))
    factor = 1 - strength + 2 * strength * np.exp(narrow * (np.cos(phase) - 1))
    if rng.uniform() < 0.6:
        factor -= (
            np.float32(rng.uniform(0, 0.8))
            * factor
            * np.exp(2 * narrow * (np.cos(phase + np.float32(0.8)) - 1))
        )
    if rng.uniform() < 0.7:
        # Clouds of young stars, and of dust.
        half = [n // 2 + 1 for n in factor.shape]
        clumps = random_field(rng, half, rng.uniform(-3, -2), smallest=1)
        clumps = clumps.repeat(2, 0).repeat(2, 1)[: factor.shape[0], : factor.shape[1]]
        factor *= np.exp(np.float32(rng.uniform(0.1, 0.8)) * clumps)
    return factor


def _disc_axes(ratio, angle, reach):
    """Pixels along an axis of a square stamp, and along and across the disc in its own plane."""
    axis = np.arange(-int(reach), int(reach) + 1, dtype=np.float32)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    across = (axis[:, None] * c - axis * s) / np.float32(ratio)
    return axis, axis * c + axis[:, None] * s, across
