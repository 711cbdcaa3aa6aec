"""What read-out and reduction make of an exposure: steps, borders, mended pixels, mixed noise.

None of it is a contaminant, and much of it looks like one. Images are in electrons, sky included.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.signal import lfilter

from training.simulation.contaminants import log_uniform, random_field


def amplifiers(rng, shape, noise, level):
    """
    Halves, quadrants or stripes that were read by amplifiers of their own.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W).
    noise, level : float
        Noise of a pixel, and the level of the sky, in electrons.

    Returns
    -------
    ndarray, float32, (H, W)
        Electrons that the amplifiers differ by: in bias, in gain and in noise.
    """
    counts = [(1, 2), (2, 1), (2, 2), (1, int(rng.integers(3, 17)))][rng.choice(4)]
    inner = [
        np.sort(rng.integers(n, size=k - 1)) if k == 2 else np.arange(1, k) * n // k
        for n, k in zip(shape, counts, strict=True)
    ]
    which = [
        np.searchsorted(edges, np.arange(n), side="right")
        for edges, n in zip(inner, shape, strict=True)
    ]
    biases = rng.normal(0, noise * log_uniform(rng, 0.2, 60), counts)
    gains = rng.normal(0, rng.choice([0, 0.003, 0.05]), counts)
    worse = noise * np.maximum(rng.normal(0, rng.choice([0.0, 0.8]), counts), 0)
    part = np.ix_(*which)
    offset = (biases + gains * level)[part].astype(np.float32)
    if worse.any():
        offset += worse[part] * rng.standard_normal(shape, dtype=np.float32)
    if rng.uniform() < 0.3:
        # The amplifier settles within the first columns that it reads.
        column = np.arange(shape[1]) - np.r_[0, inner[1]][which[1]]
        settling = noise * log_uniform(rng, 0.5, 30) * rng.choice([-1, 1])
        offset += (settling * np.exp(-column / log_uniform(rng, 1, 40))).astype(np.float32)
    return offset


def bias_drift(rng, shape, noise):
    """
    Bias that wanders while the rows are read.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W).
    noise : float
        Noise of a pixel in electrons.

    Returns
    -------
    ndarray, float32, (H, 1) or (1, W)
        Electrons to be added.
    """
    axis = 0 if rng.uniform() < 0.8 else 1
    drift = ndimage.gaussian_filter1d(
        np.cumsum(rng.standard_normal(shape[axis])), log_uniform(rng, 3, 100), mode="nearest"
    )
    drift = (drift - drift.mean()) / max(drift.std(), 1e-6)
    drift = (noise * log_uniform(rng, 0.1, 4) * drift).astype(np.float32)
    return drift[:, None] if axis == 0 else drift[None]


def pickup(rng, shape, noise):
    """
    Electrical interference: waves whose direction changes along the rows, a herringbone.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W).
    noise : float
        Noise of a pixel in electrons.

    Returns
    -------
    ndarray, float32, (H, W)
        Electrons to be added.
    """
    column = ndimage.gaussian_filter1d(
        rng.standard_normal(shape[1]), log_uniform(rng, 3, 60), mode="wrap"
    )
    slope = rng.normal(0, 0.3) + rng.uniform(0, 1.5) * column / column.std()
    phase = 2 * np.pi * np.arange(shape[0])[:, None] / log_uniform(rng, 2.2, 40)
    wave = np.sin(phase + np.cumsum(slope)[None])
    return (noise * log_uniform(rng, 0.05, 1) * wave).astype(np.float32)


def reset_pattern(rng, shape, noise):
    """
    Dark level of an infrared array after its reset: a ramp that starts anew in each half.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Shape (H, W).
    noise : float
        Noise of a pixel in electrons.

    Returns
    -------
    ndarray, float32, (H, 1) or (1, W)
        Electrons to be added.
    """
    axis = rng.integers(2)
    size = shape[axis]
    middle = int(rng.choice([size // 2, rng.integers(1, size)]))
    row = np.arange(size)
    since = np.where(row < middle, row, row - middle)
    if rng.uniform() < 0.3:
        # Read from the middle outwards, or towards it.
        since = np.where(row < middle, middle - 1 - row, row - middle)
    depth = noise * log_uniform(rng, 0.5, 60) * rng.choice([-1, -1, 1])
    ramp = depth * np.exp(-since / log_uniform(rng, 3, size))
    ramp = ramp + noise * rng.normal(0, 3) * since / size
    ramp = ramp + np.where(row < middle, noise * rng.choice([0.0, rng.normal(0, 20)]), 0)
    ramp = ramp.astype(np.float32)
    return ramp[:, None] if axis == 0 else ramp[None]


def flat_structure(rng, shape):
    """
    Structure of silicon and of filters that a flat field shows: regular, and no fringes.

    Returns
    -------
    ndarray, float32, (H, W)
        Mean about 0, extremes about -1 and 1.
    """
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    kind = rng.choice(["rings", "bricks", "stripes"])
    if kind == "rings":
        # Rings of growth of the crystal, about a centre outside the frame.
        y, x = (rng.uniform(-1.5, 2.5) * n for n in shape)
        radius = np.hypot(rows - y, columns - x)
        profile = rng.standard_normal(int(radius.max()) + 2)
        profile = ndimage.gaussian_filter1d(profile, log_uniform(rng, 1.5, 6))
        pattern = np.interp(radius, np.arange(len(profile)), profile / (2 * profile.std()))
    elif kind == "bricks":
        # Steps of the laser that annealed a thinned detector.
        height, width = log_uniform(rng, 20, 120, 2)
        bricks = np.floor(rows / height)
        shifted = columns / width + 0.5 * (bricks % 2)
        pattern = np.cos(2 * np.pi * shifted) ** 8 + np.cos(2 * np.pi * rows / height) ** 8 - 0.5
    else:
        n = shape[axis := rng.integers(2)]
        profile = ndimage.gaussian_filter1d(rng.standard_normal(n), rng.uniform(0, 3))
        profile = np.expand_dims(profile / (2 * profile.std()), 1 - axis)
        pattern = np.broadcast_to(profile, shape)
    return pattern.astype(np.float32)


@dataclass
class Lag:
    """Charge that traps hold back while it is shifted: tails behind stars and hits alike.

    Attributes
    ----------
    axis : int
        Along which charge is shifted.
    backwards : bool
        Towards the last pixel instead of the first.
    share : float
        Of the charge that lags behind.
    length : float
        Pixels within which the tail falls to 1 / e.
    """

    axis: int
    backwards: bool
    share: float
    length: float

    def __call__(self, electrons):
        """The same charge, with its tails; float32, (H, W)."""
        turned = np.flip(electrons, self.axis) if self.backwards else electrons
        falling = np.exp(-1 / self.length)
        tail = lfilter([0, 1 - falling], [1, -falling], turned, axis=self.axis)
        tail = np.flip(tail, self.axis) if self.backwards else tail
        return ((1 - self.share) * electrons + self.share * tail).astype(np.float32)


def random_lag(rng):
    """Draw the transfer of a detector that radiation has aged."""
    return Lag(
        axis=int(rng.uniform() < 0.2),
        backwards=rng.uniform() < 0.5,
        share=log_uniform(rng, 3e-3, 0.15),
        length=log_uniform(rng, 1, 25),
    )


def lost_light(rng, shape):
    """
    Illumination that falls off towards corners, an edge or both; dividing by it lifts the noise.

    Returns
    -------
    ndarray, float32, (H, W)
        Share of the light that arrives, from 0.05 to 1.
    """
    rows, columns = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    kind = rng.choice(["corners", "edge", "circle"])
    if kind == "corners":
        y, x = rng.uniform(-1, 1, 2)
        share = 1 - rng.uniform(0.1, 0.4) * ((rows - y) ** 2 + (columns - x) ** 2)
    elif kind == "edge":
        distance = [1 - rows, 1 + rows, 1 - columns, 1 + columns][rng.integers(4)]
        share = 1 - rng.uniform(0.3, 1) * np.exp(-distance / log_uniform(rng, 0.005, 0.3))
        share = np.broadcast_to(share, shape)
    else:
        y, x = rng.choice([-1, 1], 2) * rng.uniform(0, 0.6, 2)
        distance = np.hypot(rows - y, columns - x)
        share = 0.5 - 0.5 * np.tanh((distance - rng.uniform(1.1, 1.9)) / log_uniform(rng, 0.01, 1))
    return np.clip(share, 0.05, 1).astype(np.float32)


def trimmed_edges(rng, image, noise, level):
    """
    Borders of a reduced frame: blank, half lit, badly subtracted, noisy or glowing.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : ndarray, float32, (H, W)
        Electrons; changed in place.
    noise, level : float
        Noise and level of the sky in electrons.

    Returns
    -------
    blank, dim : ndarray, bool, (H, W)
        Pixels that hold a constant; those that lost light, or more than light.
    """
    blank, dim = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    constant = level + noise * rng.choice([-1, 1]) * log_uniform(rng, 1, 1000)
    constant = rng.choice([0.0, 0.0, level, constant, -10 * level])
    smeared = rng.uniform() < 0.25
    # A side may have several kinds at once, such as blank pixels before glowing ones.
    for side in rng.permutation(np.r_[:4, rng.integers(4, size=4)])[: rng.integers(1, 8)]:
        turned, blank_here, dim_here = (np.rot90(a, side) for a in (image, blank, dim))
        if not smeared and rng.uniform() < 0.25:
            # Along a part of the side only.
            start, stop = np.sort(rng.choice(turned.shape[1] + 1, 2, replace=False))
            turned, blank_here, dim_here = (
                a[:, start:stop] for a in (turned, blank_here, dim_here)
            )
        width = int(log_uniform(rng, 1, 30))
        border = turned[:width]
        kind = rng.choice(["blank", "blank", "lit", "offset", "noisy", "glow"])
        inwards = np.arange(width, dtype=np.float32)[:, None]
        if smeared:
            # Interpolated from the first good row: all the same on the way to the edge.
            border[:] = turned[width]
            dim_here[:width] = True
        if rng.uniform() < 0.15:
            # A corner that is lost.
            corner = turned[: rng.integers(2, 20), : rng.integers(2, 20)]
            corner -= noise * log_uniform(rng, 3, 100)
            dim_here[: corner.shape[0], : corner.shape[1]] = True
        if smeared:
            continue
        if kind == "blank":
            blank_here[:width] = True
        elif kind == "lit":
            part = rng.uniform(0, 0.9) + (1 - rng.uniform(0, 1)) * (inwards + 0.5) / width
            border *= np.clip(part, 0, 1)
            dim_here[:width] = True
        elif kind == "offset":
            border += noise * rng.choice([-1, -1, 1]) * log_uniform(rng, 1, 100)
            dim_here[:width] = True
        elif kind == "noisy":
            border += noise * log_uniform(rng, 0.5, 10) * rng.standard_normal(border.shape)
        else:
            scale = log_uniform(rng, 0.7, 40)
            reach = turned[: int(6 * scale) + 1]
            inwards = np.arange(len(reach), dtype=np.float32)[:, None]
            height = noise * log_uniform(rng, 1, 100) * rng.choice([-1, 1, 1])
            uneven = rng.choice([0.0, 0.1, 0.4])
            along = uneven * ndimage.gaussian_filter1d(
                rng.standard_normal(reach.shape[1]), log_uniform(rng, 3, 100), mode="nearest"
            )
            along = np.exp(2 * along) + uneven * rng.standard_normal(reach.shape)
            reach += height * along * np.exp(-inwards / scale)
            dim_here[:width] = height < 0
    image[blank] = constant
    return blank, dim


def bridged(rng, image, count):
    """
    Columns and lines, narrow and wide, replaced by interpolation across them.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : ndarray, float32, (H, W)
        Electrons; changed in place.
    count : int
        Number of columns or lines.

    Returns
    -------
    ndarray, bool, (H, W)
        Which pixels were replaced.
    """
    mended = np.zeros(image.shape, bool)
    turned = rng.uniform() < 0.3
    picture, marks = (image.T, mended.T) if turned else (image, mended)
    height, across = picture.shape
    for _ in range(count):
        width = int(log_uniform(rng, 1, 4 if rng.uniform() < 0.75 else 40))
        left = int(rng.integers(1, across - width - 1))
        rows = slice(0, height)
        if rng.uniform() < 0.5:
            length = int(log_uniform(rng, 8, height))
            top = int(rng.choice([0, height - length, rng.integers(height - length + 1)]))
            rows = slice(top, top + length)
        _bridge(picture, rows, slice(left, left + width), nearest=rng.uniform() < 0.25)
        marks[rows, left : left + width] = True
    return mended


def _bridge(image, rows, columns, nearest=False):
    """Interpolate across columns, in place, from those on both sides or from the nearer one."""
    width = columns.stop - columns.start
    part = (np.arange(width, dtype=np.float32) + 1) / (width + 1)
    if nearest:
        part = (part > 0.5).astype(np.float32)
    first, last = image[rows, columns.start - 1, None], image[rows, columns.stop, None]
    image[rows, columns] = first * (1 - part) + last * part


def mended_bleeding(rng, image, saturated):
    """
    Bleeding columns that were interpolated away in part, and beyond their ends: stripes, outlines,
    and rows that were left.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : ndarray, float32, (H, W)
        Electrons; changed in place.
    saturated : ndarray, bool, (H, W)

    Returns
    -------
    ndarray, bool, (H, W)
        Which pixels were replaced.
    """
    mended, level = np.zeros(image.shape, bool), image[saturated].max()
    parts, _ = ndimage.label(saturated)
    longest, pad = log_uniform(rng, 8, 200), int(rng.integers(0, 5))
    hollow, bracket, nearest, ragged = rng.uniform(0, 1, 4) < (0.4, 0.4, 0.15, 0.6)
    for k, box in enumerate(ndimage.find_objects(parts)[:200]):
        height, width = (b.stop - b.start for b in box)
        if max(height, width) < 8 or rng.uniform() < 0.2:
            continue
        turned = width > height
        picture, marks, numbers = (a.T if turned else a for a in (image, mended, parts))
        rows, columns = box[::-1] if turned else box
        across = slice(columns.start - pad, columns.stop + pad)
        if across.start < 1 or across.stop > picture.shape[1] - 1 or across.start >= across.stop:
            continue
        above, below = (int(n) for n in longest * rng.uniform(0.2, 1, 2))
        for stretch in (
            slice(max(rows.start - above, 0), rows.start),
            slice(rows.stop, rows.stop + below),
        ):
            _bridge(picture, stretch, across, nearest)
            marks[stretch, across] = True
            if ragged:
                _leave_rows(rng, picture[stretch, across], level)
        if hollow:
            # The middle of the bleeding is mended, its outline is not.
            first = rng.integers(rows.start, rows.stop)
            stretch = slice(first, int(rng.integers(first, rows.stop)) + 1)
            own = numbers[stretch, across] == k + 1
            inner = ndimage.binary_erosion(own, np.ones((1, 3), bool))
            whole = picture[stretch].copy()
            _bridge(whole, slice(None), across)
            picture[stretch, across][inner] = whole[:, across][inner]
            marks[stretch, across] |= inner
            if bracket:
                far = min(across.stop + int(rng.integers(12)), picture.shape[1] - 1)
                hooks = slice(max(far - int(rng.integers(1, 8)), 0), far)
                for lines in (
                    (rows, far),
                    (rows.start, hooks),
                    (rows.stop - 1, hooks),
                ):
                    picture[lines] = level
                    marks[lines] = True
    return mended


def _leave_rows(rng, mended, level):
    """Put back some of a bleeding column, in place, in few rows of where it was mended."""
    height, width = mended.shape
    for _ in range(int(rng.integers(3))):
        if height:
            row = int(rng.choice([0, height - 1, rng.integers(height)]))
            left = int(rng.integers(width))
            values = level * np.sort(log_uniform(rng, 0.02, 1, int(rng.integers(1, 4))))
            part = mended[row, left : left + len(values)]
            part[:] = values[:: rng.choice([-1, 1])][: len(part)]


def patched(rng, image, where, noise):
    """
    Replace masked pixels by a constant, or by what surrounds them, smoothly or with noise.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : ndarray, float32, (H, W)
        Electrons; changed in place.
    where : ndarray, bool, (H, W)
    noise : float
        Of the sky, in electrons.

    Returns
    -------
    bool
        Whether it is a constant.
    """
    level = np.median(image[::8, ::8])
    if rng.uniform() < 0.3:
        image[where] = rng.choice([0.0, level, level - noise * log_uniform(rng, 3, 300)])
        return True
    good = (~where).astype(np.float32)
    scale = rng.uniform(0.8, 4)
    weight = ndimage.gaussian_filter(good, scale)
    smooth = ndimage.gaussian_filter(image * good, scale) / np.maximum(weight, 1e-3)
    image[where] = np.where(weight > 1e-3, smooth, level)[where]
    if rng.uniform() < 0.4:
        image[where] += noise * rng.standard_normal(int(where.sum()))
    return False


def patches(rng, shape):
    """
    Masked regions of all kinds: where something was, or was said to be.

    Returns
    -------
    ndarray, bool, (H, W)
    """
    where = np.zeros(shape, bool)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    for _ in range(int(log_uniform(rng, 1, 40))):
        size = log_uniform(rng, 0.7, 40 if rng.uniform() < 0.1 else 5)
        y, x = rng.uniform(0, 1, 2) * shape
        view = tuple(slice(max(int(c - size - 1), 0), int(c + size + 2)) for c in (y, x))
        near = (rows[view[0]] - y) ** 2 + (columns[:, view[1]] - x) ** 2 < size**2
        where[view] |= near | (rng.uniform() < 0.3)
    return where


def resampled(rng, image):
    """
    Interpolate to a grid slightly turned and shifted: noise correlates, more here than there.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : ndarray, float32, (H, W)

    Returns
    -------
    ndarray, float32, (H, W)
        Nothing has moved by more than half a pixel.
    """
    turn = rng.uniform(-0.5, 0.5) / max(image.shape)
    middle = (np.array(image.shape) - 1) / 2
    matrix = np.array([[1, -turn], [turn, 1]])
    offset = middle - matrix @ middle + rng.uniform(-0.25, 0.25, 2)
    order = int(rng.choice([1, 1, 3]))
    return ndimage.affine_transform(image, matrix, offset, order=order, mode="nearest")


def sky_subtracted(rng, image, noise):
    """
    Subtract a local sky that stars and galaxies have raised: dark moats around them.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : ndarray, float32, (H, W)
    noise : float
        Of the sky, in electrons.

    Returns
    -------
    image : ndarray, float32, (H, W)
    changed : ndarray, bool, (H, W)
        Where the sky was taken too high, or diffuse light was taken away.
    """
    level = float(np.median(image[::4, ::4]))
    clipped = np.clip(image, level - 3 * noise, level + noise * log_uniform(rng, 3, 60))
    sky = ndimage.gaussian_filter(clipped, log_uniform(rng, 8, 60), truncate=2.5) - level
    return image - sky, np.abs(sky) > 0.3 * noise


def clouds(rng, shape):
    """
    Thin cloud or cirrus, lit by the Moon or by towns: smooth, without edges.

    Returns
    -------
    ndarray, float32, (H, W)
        Mean 0, standard deviation 1.
    """
    return random_field(rng, shape, rng.uniform(-5, -3.5), smallest=rng.uniform(80, 300))
