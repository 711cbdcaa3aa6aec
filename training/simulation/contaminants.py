"""One function per contaminant: what it adds to an exposure, and where.

Every function draws its parameters from a ``numpy.random.Generator`` and returns
noise-free electrons (or the factor by which light is lost) on the pixel grid;
labels are made from them in `training.simulation.scenes`, after `training/LABELS.md`.
"""

import numpy as np
from scipy import fft, ndimage

# Energy loss of a minimum-ionising particle in silicon: most probable value, electrons
# per micron, and the width of its straggling as a fraction of it (PDG review, sect. 34).
MUON_ELECTRONS_PER_MICRON = 76.0
STRAGGLING = 0.18


def log_uniform(rng, low, high, size=None):
    """Draw numbers whose logarithm is uniform between those of two bounds."""
    return np.exp(rng.uniform(np.log(low), np.log(high), size))


def random_field(rng, shape, index, smallest=0.0):
    """
    Gaussian random field with a power-law spectrum.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W).
    index : float
        Power per mode goes as k**index.
    smallest : float
        Modes of wavelengths below this many pixels are damped.

    Returns
    -------
    ndarray, float32, (H, W)
        Mean 0, standard deviation 1. Not periodic: cut from a field twice as large.
    """
    big = [fft.next_fast_len(2 * n, real=True) for n in shape]
    k = np.hypot(fft.fftfreq(big[0])[:, None], fft.rfftfreq(big[1])[None, :]).astype(np.float32)
    k[0, 0] = 1.0
    amplitude = k ** np.float32(0.5 * index) * np.exp(-((k * np.float32(smallest)) ** 2))
    amplitude[0, 0] = 0.0
    noise = rng.standard_normal((2, *k.shape), dtype=np.float32)
    field = fft.irfft2(amplitude * (noise[0] + 1j * noise[1]), s=big)[: shape[0], : shape[1]]
    return ((field - field.mean()) / field.std()).astype(np.float32)


def _deposit(shape, x, y, charge):
    """Charges at positions (pixels, centres at integers), summed into pixels."""
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    inside = (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0])
    flat = row[inside] * shape[1] + column[inside]
    sums = np.bincount(flat, weights=charge[inside], minlength=shape[0] * shape[1])
    return sums.reshape(shape).astype(np.float32)


# Detectors by what hits look like: thickness in microns, pixels in microns, diffusion in pixels
# over the whole thickness, and the weights of muons, electrons and compact hits.
HITS = {
    "any": ((8, 300), (4, 20), (0.15, 0.6), (4, 3, 1.5)),
    "front-illuminated": ((8, 20), (6, 15), (0.02, 0.3), (3, 1, 4)),
    "thick": ((100, 300), (10, 18), (0.2, 0.7), (5, 4, 1)),
    "CMOS": ((3, 12), (2.4, 9), (0.1, 0.5), (3, 2, 3)),
    "compact": ((8, 50), (8, 25), (0.02, 0.35), (1, 0.5, 8)),
    "worms": ((15, 300), (5, 20), (0.15, 0.5), (1, 8, 1)),
}


def cosmic_rays(rng, shape, count, thickness=None, pixel=None, diffusion=None):
    """
    Charge left by muons, scattered electrons and compact hits in silicon.

    Muons cross the detector in straight lines, their zenith angle distributed as
    cos(angle)**2 above the horizon; electrons wander, more so as they slow down
    and ionise more; compact hits stop where they arrive. The charge spreads by
    diffusion on its way to the gates, in proportion to the square root of the way.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W).
    count : int
        Number of particles.
    thickness : float, optional
        Of the detector, in microns (10: thinned or CMOS, 300: deep depletion).
    pixel : float, optional
        Pixel size in microns.
    diffusion : float, optional
        Standard deviation, in pixels, of charge that crosses the whole thickness.

    Returns
    -------
    ndarray, float32, (H, W)
        Electrons.
    """
    *limits, weights = HITS[rng.choice(list(HITS), p=(0.4, 0.15, 0.15, 0.1, 0.12, 0.08))]
    drawn = (log_uniform(rng, *limits[0]), rng.uniform(*limits[1]), rng.uniform(*limits[2]))
    thickness, pixel, diffusion = (
        new if old is None else old
        for new, old in zip(drawn, (thickness, pixel, diffusion), strict=True)
    )
    muons, electrons, compact = rng.multinomial(count, rng.dirichlet(weights))
    paths = [_muons(rng, shape, muons, thickness, pixel)]
    paths += [_electron(rng, shape, pixel) for _ in range(electrons)]
    paths.append(_compact(rng, shape, compact))
    spread = 3  # points per step, so that diffusion shows no grain
    x, y, depth, hit = (
        np.repeat(np.concatenate(part), spread) for part in zip(*paths, strict=True)
    )
    sigma = diffusion * np.sqrt(depth)
    x = x + sigma * rng.standard_normal(x.size)
    y = y + sigma * rng.standard_normal(x.size)
    return _deposit(shape, x, y, hit / spread)


def _anywhere(rng, shape, count=None):
    """Where particles enter, x and y, a little beyond the edges too."""
    return rng.uniform(-10, shape[1] + 10, count), rng.uniform(-10, shape[0] + 10, count)


def _muons(rng, shape, count, thickness, pixel):
    """Straight tracks, in three steps a pixel: x, y, depth and electrons of each step."""
    # Flux through a horizontal plane ~ cos^3 sin: cos = u^(1/4); some nearly horizontal.
    horizontal = rng.uniform(0, 1, count) < rng.choice([0.1, 0.3, 0.6])
    cosine = rng.uniform(0, 1, count) ** np.where(horizontal, 1.0, 0.25)
    cosine = np.maximum(cosine, min(0.02, 0.3 * thickness / pixel / max(shape)))
    length = thickness / pixel * np.sqrt(1 / cosine**2 - 1)
    # A track that outruns the image ends in it: the particle left the silicon by the side.
    length = np.minimum(length, 2.0 * max(shape))
    steps = np.maximum(1, np.ceil(length * 3)).astype(int)
    track = np.repeat(np.arange(count), steps)
    first = np.cumsum(steps) - steps
    along = (np.arange(len(track)) - first[track] + 0.5) / steps[track]
    x, y = _anywhere(rng, shape, count)
    azimuth = rng.uniform(0, 2 * np.pi, count)
    x = x[track] + along * (length * np.cos(azimuth))[track]
    y = y[track] + along * (length * np.sin(azimuth))[track]
    path = thickness / cosine / steps
    energy = MUON_ELECTRONS_PER_MICRON * path
    width = STRAGGLING * energy * np.sqrt(1 + 20 / np.maximum(path, 0.1))
    # Landau's law after Moyal (1955): -ln of a squared normal deviate.
    lost = -np.log(rng.standard_normal(len(track)) ** 2 + 1e-12)
    hit = np.clip(energy[track] + width[track] * lost, 0, 30 * energy[track])
    return x, y, along, hit


def _electron(rng, shape, pixel):
    """A scattered electron: it turns the more, and ionises the more, the slower it gets."""
    x, y = _anywhere(rng, shape)
    length = rng.exponential(rng.choice([6.0, 15.0, 40.0])) + 1.0
    steps = int(np.ceil(length * 3))
    left = 1.0 - (np.arange(steps) + 0.5) / steps
    turning = rng.uniform(0.05, 0.35) / np.sqrt(np.maximum(left, 0.05))
    direction = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.standard_normal(steps) * turning)
    x, y = x + np.cumsum(np.cos(direction)) / 3, y + np.cumsum(np.sin(direction)) / 3
    depth = np.clip(rng.uniform() + np.cumsum(rng.standard_normal(steps)) * 0.05, 0, 1)
    energy = MUON_ELECTRONS_PER_MICRON * pixel / 3 * rng.uniform(0.7, 3)
    hit = energy * rng.gamma(2.0, 0.5, steps) / np.maximum(left, 0.08) ** 0.4
    return x, y, depth, hit


def _compact(rng, shape, count):
    """Hits that stop where they arrive."""
    steps = 6
    x, y = (np.repeat(places, steps) for places in _anywhere(rng, shape, count))
    depth = np.repeat(rng.uniform(0.1, 1, count), steps)
    hit = np.repeat(log_uniform(rng, 150, 30000, count) / steps, steps)
    return x, y, depth, hit


def whole_tracks(charge, noise):
    """
    Where cosmic rays are: their charge stands out, or links what stands out.

    A track whose charge falls short here and there is still one track.

    Parameters
    ----------
    charge : ndarray, (H, W)
        Electrons of the hits alone.
    noise : ndarray, (H, W)
        Local noise, objects included, in electrons.

    Returns
    -------
    ndarray, bool, (H, W)
        Charge above 2.5 times the noise; and above half of the noise in gaps of up to 6 pixels
        between such pixels.
    """
    sure = charge > 2.5 * noise
    if not sure.any():
        return sure
    grown = ndimage.maximum_filter(sure.view(np.uint8), 7)
    closed = ndimage.minimum_filter(grown, 7)
    return sure | ((closed > 0) & (charge > 0.5 * noise))


def footprints(rng, shape, count, catalogue):
    """
    Cosmic rays seen by real detectors, thrown at random places and orientations.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W).
    count : int
        Number of events.
    catalogue : list of tuple
        Per event the arrays x, y (pixels) and electrons, from `read_footprints`.

    Returns
    -------
    ndarray, float32, (H, W)
        Electrons.
    """
    charge = np.zeros(shape, np.float32)
    scale = log_uniform(rng, 0.3, 2.0)
    for index in rng.integers(len(catalogue), size=count):
        x, y, electrons = catalogue[index]
        if rng.uniform() < 0.5:
            x, y = y, x
        x = rng.choice([-1, 1]) * x + rng.integers(shape[1])
        y = rng.choice([-1, 1]) * y + rng.integers(shape[0])
        inside = (x >= 0) & (x < shape[1]) & (y >= 0) & (y < shape[0])
        np.add.at(charge, (y[inside], x[inside]), scale * electrons[inside])
    return charge


def defects(rng, shape, count, lines):
    """
    Places of defective pixels: single ones, or whole and partial columns and lines.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W).
    count : int
        Number of defects.
    lines : bool
        Columns and lines, one to several pixels wide, instead of single pixels.

    Yields
    ------
    tuple of slice
        The pixels of one defect.
    """
    vertical = rng.uniform() < 0.75
    for _ in range(count):
        if not lines:
            y, x = rng.integers(shape[0]), rng.integers(shape[1])
            yield slice(y, y + 1), slice(x, x + 1)
            continue
        along, across = (shape[0], shape[1]) if vertical else (shape[1], shape[0])
        width = rng.choice([1, 1, 1, 1, 2, 2, 3, 5])
        place = rng.integers(across)
        start, stop = 0, along
        if rng.uniform() < 0.5:
            length = int(log_uniform(rng, 12, along))
            start = rng.choice([0, along - length, rng.integers(along - length + 1)])
            stop = start + length
        pixels = slice(start, stop), slice(place, place + width)
        yield pixels if vertical else pixels[::-1]
        if rng.uniform() < 0.05:
            vertical = not vertical


def clusters(rng, shape, count):
    """
    Where clusters of dead pixels are: compact, ragged patches.

    Returns
    -------
    ndarray, bool, (H, W)
    """
    dead = np.zeros(shape, bool)
    for _ in range(count):
        size = int(log_uniform(rng, 2, 14))
        y, x = rng.integers(-size // 2, shape[0]), rng.integers(-size // 2, shape[1])
        rows, columns = np.ogrid[
            -1 : 1 : size * 1j, -1 : 1 : max(2, size * rng.uniform(0.5, 2)) * 1j
        ]
        ragged = rows**2 + columns**2 + rng.normal(0, 0.25, (rows.size, columns.size)) < 1
        # A narrow one may lie outside altogether.
        part = dead[max(y, 0) : y + size, max(x, 0) : max(x + columns.size, 0)]
        part |= ragged[max(-y, 0) :, max(-x, 0) :][: part.shape[0], : part.shape[1]]
    return dead


def afterglow(rng, earlier, well):
    """
    Persistence: what earlier, brighter exposures have left in an infrared array.

    Traps fill where the charge had come near the full well, and release it
    slowly: the afterglow has a flat core with the edge of the old image, and
    falls off fast outside of it. Each earlier exposure was pointed elsewhere, and
    the older the weaker.

    Parameters
    ----------
    rng : numpy.random.Generator
    earlier : ndarray, (H, W)
        Electrons of an exposure before this one, not clipped.
    well : float
        Full well in electrons.

    Returns
    -------
    ndarray, float32, (H, W)
        Relative to the highest level that is possible (1).
    """
    threshold = well * rng.uniform(0.2, 1.0)
    trapped = np.clip(earlier / threshold, 0, 1) ** log_uniform(rng, 1, 6)
    trapped *= 1 + rng.uniform(0, 0.3) * np.log10(np.maximum(earlier / threshold, 1))
    if rng.uniform() < 0.4:
        # Traps that only a well that is nearly full reaches.
        trapped[earlier < threshold * rng.uniform(0.1, 0.7)] = 0
    if rng.uniform() < 0.6:
        trapped = ndimage.gaussian_filter(trapped, rng.uniform(0.3, 1.2))
    glow = trapped.astype(np.float32)
    for age in range(rng.integers(0, 4)):
        shift = rng.integers(-60, 60, 2)
        moved = ndimage.shift(trapped, shift, order=0)
        glow += moved * rng.uniform(0.2, 0.8) ** (age + 1)
    return glow


def burnt_in(rng, shape, count):
    """
    Persistence as round spots, as sharp as traps make them or softened by their release.

    Flat, domed or hollow, where the middle had saturated; each of its own age.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W).
    count : int

    Returns
    -------
    ndarray, float32, (H, W)
        Relative to the highest level that is possible (1).
    """
    glow = np.zeros(shape, np.float32)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    sharpness = log_uniform(rng, 6, 60)
    largest = log_uniform(rng, 4, 50)
    fill = rng.uniform(0, 1)
    for _ in range(count):
        y, x = rng.uniform(0, 1, 2) * shape
        radius = log_uniform(rng, 1.5, largest)
        reach = int(radius * (1 + 8 / sharpness)) + 2
        view = tuple(slice(max(int(c) - reach, 0), int(c) + reach + 1) for c in (y, x))
        distance = np.hypot(rows[view[0]] - y, (columns[:, view[1]] - x)) / radius
        spot = 1 / (1 + distance**sharpness)
        if fill < 0.4:
            spot *= 1 - rng.uniform(0.2, 0.9) * np.minimum(distance, 1) ** 2
        elif fill < 0.55:
            spot *= 1 - rng.uniform(0.3, 1) * (distance < rng.uniform(0.3, 0.8))
        glow[view] += log_uniform(rng, 0.02, 1) * spot
    return glow


def trail(rng, shape, fwhm):
    """
    Light of a satellite, aircraft or meteor that crosses the field.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W).
    fwhm : float
        Seeing in pixels: no trail in focus is narrower.

    Returns
    -------
    ndarray, float32, (H, W)
        Light, 1 on the ridge of its brightest part.
    """
    angle = rng.uniform(0, np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    y, x = np.ogrid[: shape[0], : shape[1]]
    x0, y0 = rng.uniform(0.05, 0.95) * shape[1], rng.uniform(0.05, 0.95) * shape[0]
    along = ((x - x0) * cosine + (y - y0) * sine).astype(np.float32)
    across = ((y - y0) * cosine - (x - x0) * sine).astype(np.float32)
    if rng.uniform() < 0.25:
        curvature = rng.normal(0, 0.3) / max(shape)
        across = (across - curvature * along**2) / np.sqrt(1 + (2 * curvature * along) ** 2)
    kind = rng.choice(["sharp", "sharp", "broad", "defocused", "aircraft", "winged", "winged"])
    sigma = fwhm / 2.355
    if kind == "sharp":
        beta = rng.uniform(2, 5)
        core = (0.5 * fwhm) ** 2 / (2 ** (1 / beta) - 1)
        profile = (1 + across**2 / core) ** np.float32(0.5 - beta)
    elif kind == "defocused":
        # The ring that a point out of focus draws, projected: bright edges, a dip.
        radius, hole = fwhm * log_uniform(rng, 0.8, 8), rng.uniform(0, 0.6)
        chord = np.sqrt(np.maximum(radius**2 - across**2, 0))
        chord -= np.sqrt(np.maximum((hole * radius) ** 2 - across**2, 0))
        profile = ndimage.gaussian_filter(chord, sigma)
    elif kind == "winged":
        # A core up to 80 pixels wide, flat or peaked, in wings that fall off slowly.
        half = log_uniform(rng, max(fwhm, 2) / 2, 40)
        inner = 1 / (1 + (np.abs(across) / half) ** np.float32(log_uniform(rng, 4, 16)))
        reach = half * log_uniform(rng, 1.1, 3)
        wings = (1 + (across / reach) ** 2) ** np.float32(-rng.uniform(2, 4))
        profile = inner + log_uniform(rng, 1e-4, 0.05) * wings
    else:
        width = min(sigma * log_uniform(rng, 1, 12), 40)
        # From two slopes that meet in a ridge to a flat band.
        profile = np.exp(-0.5 * np.abs(across / width) ** np.float32(rng.uniform(1.5, 6)))
        if kind == "aircraft":
            gap = width * rng.uniform(3, 12)
            for side in (-1, 1):
                wing = np.exp(-0.5 * ((across - side * gap) / width) ** 2)
                profile = profile * 1.0 + wing * rng.uniform(0.2, 1)
    period = log_uniform(rng, 8, 300)
    phase = 2 * np.pi * along / period + rng.uniform(0, 2 * np.pi)
    kinds_along = ["steady", "tumbling", "dashed", "flare"]
    shape_along = rng.choice(kinds_along, p=[0.6, 0.15, 0.1, 0.15])
    if shape_along == "tumbling":
        profile = profile * (1 - rng.uniform(0.2, 0.95) * (0.5 + 0.5 * np.sin(phase)))
    elif shape_along == "dashed":
        profile = profile * (np.sin(phase) > rng.uniform(-0.7, 0.6))
    elif shape_along == "flare":
        profile = profile * (0.05 + np.exp(-0.5 * (along / log_uniform(rng, 20, 300)) ** 2))
    if rng.uniform() < 0.2:
        end = rng.uniform(-0.3, 0.3) * max(shape)
        profile = profile / (1 + np.exp(np.clip((along - end) / max(sigma, 0.5), -30, 30)))
    profile = np.asarray(profile, np.float32)
    return profile / max(profile.max(), 1e-6)


def fringes(rng, shape):
    """
    Interference of sky lines in a detector of smoothly varying thickness.

    Each line gives cos(2 pi thickness / wavelength) fringes; two or three lines
    of nearby wavelengths beat. The thickness wanders, tilts or bulges, by one
    wavelength within 12 to 130 pixels on average.

    Returns
    -------
    ndarray, float32, (H, W)
        Amplitude 1 where the fringes are strongest.
    """
    y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    thickness = random_field(rng, shape, rng.uniform(-5, -3.5), smallest=rng.uniform(20, 120))
    tilt, centre = rng.normal(0, 1, 2), rng.uniform(-1.5, 1.5, 2)
    thickness = thickness + rng.choice([0, 0, 3, 10]) * (tilt[0] * x + tilt[1] * y)
    thickness = thickness + rng.choice([0, 0, 2]) * np.hypot(x - centre[0], y - centre[1]) ** 2
    slope = np.hypot(*np.gradient(thickness)).mean()
    thickness = thickness / (slope * log_uniform(rng, 12, 130))
    pattern = np.zeros(shape, np.float32)
    for _ in range(rng.integers(1, 4)):
        order = rng.uniform(0.8, 1.25)
        phase = 2 * np.pi * order * thickness + rng.uniform(0, 2 * np.pi)
        pattern += rng.uniform(0.3, 1) * np.cos(phase)
    pattern -= pattern.mean()
    if rng.uniform() < 0.5:
        pattern = pattern * (1 + 0.3 * random_field(rng, shape, -4, smallest=100))
    return (pattern / np.percentile(np.abs(pattern), 95)).astype(np.float32)


def nebula(rng, shape):
    """
    Interstellar clouds: power-law brightness, filaments, edges, dark lanes.

    Returns
    -------
    ndarray, float32, (H, W)
        Light, between 0 and 1.
    """
    field = random_field(rng, shape, rng.uniform(-3.8, -2.6), smallest=rng.uniform(0, 3))
    kind = rng.choice(["cloud", "lognormal", "filaments", "edge"])
    if kind == "cloud":
        light = np.clip(field + rng.uniform(-0.5, 2), 0, None)
    elif kind == "lognormal":
        light = np.exp(rng.uniform(0.5, 1.2) * field)
    elif kind == "filaments":
        light = np.exp(-np.abs(field) / rng.uniform(0.1, 0.5))
        light = light * np.exp(0.7 * random_field(rng, shape, -3.2))
    else:
        light = (0.5 + 0.5 * np.tanh(field / rng.uniform(0.03, 0.3))) * np.exp(
            0.4 * random_field(rng, shape, -3)
        )
    if rng.uniform() < 0.4:
        depth = np.clip(random_field(rng, shape, rng.uniform(-3.6, -2.8)), 0, None)
        light = light * np.exp(-rng.uniform(0.3, 2) * depth)
    if rng.uniform() < 0.5:
        y, x = np.ogrid[: shape[0], : shape[1]]
        radius = rng.uniform(0.1, 0.7) * max(shape)
        y0, x0 = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        distance = np.hypot(y - y0, x - x0) / radius
        light = light * np.exp(-(distance ** rng.uniform(1.5, 6)))
    return (light / max(np.percentile(light, 99.8), 1e-6)).clip(0, 1.5).astype(np.float32)


def planetary_nebulae(rng, shape, fwhm):
    """
    Small nebulae with a sharp outer edge: shells, discs and rings, round or not.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W).
    fwhm : float
        Seeing in pixels.

    Returns
    -------
    ndarray, float32, (H, W)
        Light; that of each through its middle, were it filled, is drawn between 0.1 and 1.
    """
    light = np.zeros(shape, np.float32)
    for _ in range(rng.choice([1, 1, 2, 4])):
        radius = log_uniform(rng, max(4, 1.5 * fwhm), 80)
        angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.6, 1)
        y, x = np.ogrid[: shape[0], : shape[1]]
        y, x = y - rng.uniform(0, shape[0]), x - rng.uniform(0, shape[1])
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        r = np.hypot(along, across / ratio).astype(np.float32) / radius
        # The light of a hollow sphere, projected, is that of the sphere without that of the hole.
        hole = rng.choice([0, rng.uniform(0.3, 0.95)])
        shell = np.sqrt(np.maximum(1 - r**2, 0)) - np.sqrt(np.maximum(hole**2 - r**2, 0))
        if rng.uniform() < 0.5:
            turn = np.arctan2(across, along) + rng.uniform(0, np.pi)
            shell *= 1 + rng.uniform(0.2, 0.9) * np.cos(rng.choice([1, 2]) * turn)
        if rng.uniform() < 0.5:
            # A faint envelope, ejected earlier.
            shell += rng.uniform(0.01, 0.2) / (1 + (r / rng.uniform(1.2, 3)) ** 8)
        light += log_uniform(rng, 0.1, 1) * shell
    return ndimage.gaussian_filter(light, fwhm / 2.355)


def reflections(rng, shape, count):
    """
    Diffuse light: haloes, ghost images of the pupil, glows from outside the field.

    Returns
    -------
    ndarray, float32, (H, W)
        Light; each has a peak drawn between 0.05 and 1.
    """
    y, x = np.ogrid[: shape[0], : shape[1]]
    light = np.zeros(shape, np.float32)
    for _ in range(count):
        y0, x0 = (rng.uniform(-0.3, 1.3) * size for size in shape)
        radius = log_uniform(rng, 15, 0.8 * max(shape))
        stretch = rng.uniform(0.7, 1.0)
        distance = np.hypot(y - y0, stretch * (x - x0)).astype(np.float32) / radius
        kind = rng.choice(["halo", "pupil", "disc", "glow"])
        if kind == "halo":
            ghost = (1 + distance**2 * 8) ** np.float32(-rng.uniform(1, 2.5))
        elif kind == "glow":
            ghost = np.exp(-(distance ** rng.uniform(1, 3)))
        else:
            soft = rng.uniform(0.01, 0.15)
            ghost = 0.5 - 0.5 * np.tanh((distance - 1) / soft)
            if kind == "pupil":
                ghost = ghost * (0.5 + 0.5 * np.tanh((distance - rng.uniform(0.2, 0.5)) / soft))
        light += log_uniform(rng, 0.05, 1) * ghost
    return light


def strips(rng, shape):
    """
    Where a frame was not exposed: prescan, overscan, gaps between amplifiers.

    Returns
    -------
    ndarray, bool, (H, W)
    """
    dark = np.zeros(shape, bool)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        axis = rng.integers(2)
        width = int(min(log_uniform(rng, 4, 160), min(shape) // 2))
        start = rng.choice(
            [0, shape[axis] - width, rng.integers(shape[axis] - width)], p=[0.4, 0.4, 0.2]
        )
        pixels = [slice(None), slice(None)]
        pixels[axis] = slice(start, start + width)
        dark[tuple(pixels)] = True
    return dark
