"""What each of several registered exposures shows alone, and what stays with the detector."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from maxitools.background import interpolate_grid, mesh_grid
from training.registration import distance, overlay
from training.simulation.scenes import BIT, Labels

MESH = 64
AROUND = np.ones((3, 3), bool)
# As many others as tell what the sky looks like; more cost time alone.
OTHERS = 6
# The sky has left a pixel of the detector when it has moved by so many pixels.
MOVED = 2.5
# Frames that tell what stays with the detector.
WITNESSES = 3
# A hit is convincing above this multiple of the noise, all doubts about stars included ...
CONVINCING = 8
# ... doubtful above this ...
DOUBTFUL = 4
# ... and positive where it has this multiple of the noise of one exposure (training/LABELS.md).
POSITIVE = 2.5
# Stars differ between exposures by at least this part of the contrast within 3x3 pixels, and of
# their light.
MISMATCH, FLICKER = 0.1, 0.04
# Shortest defect that is called a column or line, in pixels.
ALONG = 15
# Limits of hot and dead pixels, in the noise of the sky (training/LABELS.md).
HOT, DEAD = 5, 4
# Every other pixel of 11x11: what is wider than half of that is no defect of pixels or lines.
SPARSE = np.tile(np.eye(1, 2, dtype=bool), (11, 6))[:, :11] & (np.arange(11) % 2 == 0)[:, None]
DEFECTS = ("HP", "DP", "HCL", "DCL")


@dataclass(eq=False)
class Difference:
    """A frame less what the others show of the same sky.

    Attributes
    ----------
    extra : ndarray, float32, (H, W)
        In the frame's unit.
    sigma : ndarray, float32, (H, W)
        What `extra` scatters by where nothing happened: noise, and what is left of stars.
    local : ndarray, float32, (H, W)
        Noise of the exposure itself, photons of objects included.
    sky : float
        The same without objects.
    reference : ndarray, float32, (H, W)
        Light that the others show.
    told : ndarray, bool, (H, W)
        Pixels that enough others show.
    moved : ndarray, bool, (H, W)
        Pixels that are told by exposures whose sky lies elsewhere on the detector.
    """

    extra: np.ndarray
    sigma: np.ndarray
    local: np.ndarray
    sky: float
    reference: np.ndarray
    told: np.ndarray
    moved: np.ndarray


@dataclass(eq=False)
class Defects:
    """What stays with the detector while the sky moves.

    Attributes
    ----------
    labels : Labels
        Of the classes `DEFECTS`, where `told`.
    level : ndarray, float32, (H, W)
        Additional charge, or missing light (negative), in the noise of the sky; 0 where there
        is none.
    told : ndarray, bool, (H, W)
        Pixels that enough frames tell about.
    """

    labels: Labels
    level: np.ndarray
    told: np.ndarray


@dataclass(eq=False)
class Verdict:
    """Labels of a frame.

    Attributes
    ----------
    labels : Labels
    known : list of str
        Classes that the series tells about.
    charge : ndarray, float32, (H, W)
        Of the hits, in the frame's unit; 0 elsewhere.
    doubtful : ndarray, bool, (H, W)
        What the frame cannot tell the others.
    told : ndarray, bool, (H, W)
        Pixels that enough others show.
    """

    labels: Labels
    known: list
    charge: np.ndarray
    doubtful: np.ndarray
    told: np.ndarray


def compare(frames, gain=None):
    """
    Label the frames of a series.

    They are compared twice: what the first round finds is left out of what the frames say
    about each other in the second.

    Parameters
    ----------
    frames : list of Frame
        Three or more, registered.
    gain : float, optional
        Electrons per unit; measured from the frames when not given.

    Yields
    ------
    frame : Frame
    verdict : Verdict
    """
    told = {frame: np.ones(frame.light.shape, bool) for frame in frames}
    shown = {frame: frame for frame in frames}
    for frame, verdict in _round(frames, shown, told, gain, order=1):
        told[frame] = verdict.told
        shown[frame] = _without(frame, verdict.doubtful)
    yield from _round(frames, shown, told, gain, order=3)


def _without(frame, doubtful):
    """A frame to compare others with: patched, so that a spline does not ring there."""
    light = frame.light
    if doubtful.any():
        light = np.where(doubtful, ndimage.median_filter(light, 5), light)
    return replace(frame, light=light, bad=frame.bad | doubtful)


def _round(frames, shown, told, gain, order):
    shown = shown.copy()
    # One other is enough where two are known to show the place.
    fewest = 2 if order == 1 else 1
    differences = {}
    for frame in frames:
        moved, rest = _chosen(frame, frames)
        moved, rest = ([shown[other] for other in part] for part in (moved, rest))
        differences[frame] = _difference(frame, moved, rest, told[frame], fewest, gain, order)
    defects = _defects(differences)
    usual = np.median([frame.light for frame in frames], axis=0)
    for frame in frames:
        yield frame, _verdict(frame, differences.pop(frame), defects, usual)


def _chosen(frame, frames):
    """The others to compare with: those whose sky lies elsewhere on the detector; the rest."""

    def unlike(other):
        noise = other.noise * frame.scale / other.scale / frame.noise
        return abs(other.blur - frame.blur) + 2 * max(np.log(noise), 0)

    others = sorted((other for other in frames if other is not frame), key=unlike)
    moved = [other for other in others if distance(frame, other) > MOVED]
    if len(moved) < WITNESSES:
        return [], others[:OTHERS]
    moved = moved[:OTHERS]
    # What the edge of the field lacks.
    return moved, [other for other in others if other not in moved][: OTHERS // 3]


def _difference(frame, moved, rest, told, fewest, gain, order):
    others = moved + rest
    stack = np.empty((len(others), *frame.light.shape), np.float32)
    number = np.zeros(frame.light.shape, np.uint8)
    from_moved = number
    for place, (light, other) in enumerate(zip(stack, others, strict=True)):
        if place == len(moved):
            from_moved = number.copy()
        values, valid = overlay(other, frame, order)
        if place >= len(moved):
            valid &= from_moved < 2
        light[:] = np.where(valid, values, np.inf)
        number += valid
    told = told & (number >= fewest) & ~frame.bad
    noises = [other.noise * frame.scale / other.scale for other in others]
    reference = _middle(stack, number, np.median(noises))
    extra = np.where(told, frame.light - reference, 0)
    level, noise, centres = mesh_grid(extra, MESH)
    level, noise = (ndimage.median_filter(grid, 3, mode="nearest") for grid in (level, noise))
    extra -= interpolate_grid(level, centres, extra.shape)
    noise = np.maximum(interpolate_grid(noise, centres, extra.shape), 1e-3 * frame.noise)
    # Of the variance of the difference, the part that is this exposure's; the median's is
    # 1.57 times that of a mean.
    usual = np.median(number[told]) if told.any() else 1
    theirs = np.mean(np.square(noises)) * (1.57 if usual > 2 else 1)
    share = frame.noise**2 / (frame.noise**2 + theirs / usual)
    white = noise**2 * (share + (1 - share) * usual / np.maximum(number, 1))
    contrast = ndimage.maximum_filter(reference, 3) - ndimage.minimum_filter(reference, 3)
    calm = told & (reference < frame.full)
    stars = _left_of_stars(extra, white, contrast, calm) + (FLICKER * reference) ** 2
    sigma = np.sqrt(white + stars)
    own = noise**2 * share
    per_light = 1 / gain if gain else _photon_noise(extra, white, reference, calm) * share
    local = np.sqrt(own + per_light * np.maximum(reference, 0))
    sky = float(np.sqrt(np.median(own)))
    return Difference(extra, sigma, local, sky, reference, told, told & (from_moved >= fewest))


def _middle(stack, number, noise):
    """Median of those that are not infinite; of two that differ, the fainter; of none, 0."""
    stack.sort(axis=0)
    low = np.maximum((number.astype(int) - 1) // 2, 0)[None]
    high = np.minimum(number // 2, np.maximum(number, 1) - 1).astype(int)[None]
    low, high = (np.take_along_axis(stack, place, 0)[0] for place in (low, high))
    with np.errstate(invalid="ignore"):
        differ = (number == 2) & (high - low > 6 * noise + 0.3 * np.abs(low))
        return np.where(number == 0, 0, np.where(differ, low, 0.5 * (low + high)))


def _bins(extra, white, by, calm, lowest):
    """Where `by` is high: its median in bins, and how far the variance of `extra` exceeds."""
    use = calm & (by > lowest)
    values, extra, white = by[use], extra[use], white[use]
    order = np.argsort(values)
    edges = np.unique(np.geomspace(60, max(len(order), 61), 12).astype(int))
    middles, variances = [], []
    # From the brightest down: the fewest have the most to tell.
    for first, last in zip(np.append(0, edges[:-1]), edges, strict=True):
        part = order[len(order) - last : len(order) - first]
        if len(part) >= 30:
            spread = np.percentile(np.abs(extra[part]), 95) / 1.96
            middles.append(np.median(values[part]))
            variances.append(max(spread**2 - np.median(white[part]), 0))
    return np.array(middles)[::-1], np.array(variances)[::-1]


def _left_of_stars(extra, white, contrast, calm):
    """Variance that the mismatch of stars adds, from the contrast within 3x3 pixels."""
    lowest = max(np.percentile(contrast[calm], 50), 1e-6) if calm.any() else 1e-6
    middles, variances = _bins(extra, white, contrast, calm, lowest)
    if not len(middles):
        return np.zeros_like(extra)
    ratios = np.maximum(variances / middles**2, MISMATCH**2)
    ratio = np.interp(np.log(contrast.clip(lowest * 0.1)), np.log(middles), ratios)
    return (ratio * contrast**2).astype(np.float32)


def _photon_noise(extra, white, reference, calm):
    """Variance per unit of light, at the most: what stars leave counts where it is least."""
    middles, variances = _bins(extra, white, reference, calm, 10 * np.sqrt(np.median(white)))
    return float(np.min(variances / middles)) if len(middles) else 0.0


def _defects(differences):
    shape = next(iter(differences)).light.shape
    labels, level = Labels(shape), np.zeros(shape, np.float32)
    number = np.sum([d.moved for d in differences.values()], axis=0, dtype=np.uint8)
    told = number >= WITNESSES
    if not told.any():
        return Defects(labels, level, told)
    # All in the noise of the sky.
    witnesses = [d for d in differences.values() if d.moved.any()]
    stack = np.stack([np.where(d.moved, d.sigma / d.sky, np.inf) for d in witnesses])
    single = np.where(told, _middle(stack, number, np.inf), np.inf)
    sigma = 1.25 * single / np.sqrt(np.maximum(number, 1))
    stack = np.stack([np.where(d.moved, d.extra / d.sky, np.inf) for d in witnesses])
    middle = np.where(told, _middle(stack, number, np.inf), 0)
    wide = ndimage.median_filter(middle, footprint=SPARSE)
    edge = ~np.pad(np.ones(np.subtract(shape, 6), bool), 3)
    # In all frames but few: what differs from night to night is a star.
    last = np.maximum(number.astype(int) - 1, 0)
    few = (0.3 * last).astype(int)
    for sign, point, line, limit, rank in (
        (1, "HP", "HCL", HOT, few),
        (-1, "DP", "DCL", DEAD, last - few),
    ):
        one = sign * (middle - wide)
        least = sign * (np.take_along_axis(stack, rank[None], 0)[0] - wide)
        lines = _lines(one / sigma, one) & told
        # At the edge of the detector, nobody can say what is usual there.
        lines, cut = lines & ~edge, lines & edge
        clear = (one > np.maximum(limit, 5 * sigma)) & told & ~lines
        clear &= least > np.maximum(0.4 * one, single - 1)
        size = _sizes(clear)
        cluster = size > 1
        labels.mark(point, size == 1)
        labels.mark(line, lines)
        faint = (one > np.maximum(1, 4 * sigma)) & ~clear
        doubtful = cut | (ndimage.binary_dilation(lines, AROUND) & (one > 3 * sigma))
        if point == "DP":
            labels.mark(line, cluster)
        else:
            # A cluster of hot pixels is in no class.
            doubtful |= cluster
        labels.unsure[faint | doubtful] |= BIT[point]
        labels.unsure[doubtful] |= BIT[line]
        level += np.where(lines | clear | faint | doubtful, middle - wide, 0)
    labels.unsure &= ~labels.positive
    return Defects(labels, level, told)


def _sizes(where, structure=AROUND):
    """For each pixel, the number of pixels of the group that it belongs to; 0 outside."""
    groups, count = ndimage.label(where, structure)
    sizes = np.bincount(groups.ravel(), minlength=count + 1)
    sizes[0] = 0
    return sizes[groups]


def _lines(significance, level, length=ALONG):
    """Columns and lines that exceed 1, at least so many pixels long and five wide at most."""
    found = np.zeros(level.shape, bool)
    clipped = np.clip(significance, -3, 8)
    for axis in (0, 1):
        # Most of a line's pixels stand out by themselves.
        core = ndimage.uniform_filter1d((level > 0.5).astype(np.float32), length, axis=axis) > 0.7
        core &= ndimage.uniform_filter1d(np.clip(level, -3, 8), length, axis=axis) > 1
        core &= ndimage.uniform_filter1d(clipped, length, axis=axis) > 2.5
        shape = np.where(np.arange(2) == axis, length, 1)
        line = ndimage.binary_dilation(core, np.ones(shape, bool))
        line &= ndimage.uniform_filter1d(clipped, 3, axis=axis) > 1.5
        line &= ndimage.uniform_filter1d(line.astype(np.float32), 9, axis=1 - axis) < 0.6
        along = np.zeros((3, 3), bool)
        np.moveaxis(along, axis, 0)[:, 1] = True
        found |= _sizes(line, along) >= length
    return found


def _verdict(frame, difference, defects, usual):
    extra, sigma, local, told = (
        getattr(difference, name) for name in ("extra", "sigma", "local", "told")
    )
    known = ["CR", "TRL"]
    labels = Labels(extra.shape)
    if defects.told.any():
        known += DEFECTS
        stays = defects.level * difference.sky * difference.moved
        extra = extra - stays
        sigma = np.hypot(sigma, 0.3 * stays)
        labels.positive |= defects.labels.positive
        labels.unsure |= defects.labels.unsure
    for name in DEFECTS:
        labels.mark(name, np.zeros_like(told), ~defects.told)
    glare = _glare(frame, difference.reference)
    # Columns that are hot in this exposure alone, or that cut-outs show elsewhere.
    lines = ndimage.binary_dilation(_lines(extra / sigma, extra / difference.sky), AROUND)
    labels.unsure[lines] |= BIT["HCL"]
    trail, near_trail = _trails(frame, extra / sigma, told & ~glare & ~lines)
    labels.mark("TRL", trail, near_trail | ~told | glare | lines)

    above = (extra > POSITIVE * np.maximum(sigma, local)) & told
    groups, count = ndimage.label(above, AROUND)
    spoilt = glare | near_trail | trail | ndimage.binary_dilation(defects.level != 0, AROUND)
    # Where the sky has hardly moved, what is bright in all may be a hot pixel, moved by a fraction.
    brightest = ndimage.maximum_filter(usual, 3)
    spoilt |= ~difference.moved & (brightest > np.maximum(5 * difference.sky, extra / 1.2))
    spoilt |= lines
    differing, missing = _mismatched(extra, np.maximum(sigma, local), difference)
    spoilt |= differing
    hit, doubtful, joined = _convincing(frame, extra, sigma, groups, count, spoilt)
    touched = np.unique(groups[ndimage.binary_dilation(hit, np.ones((5, 5), bool))])
    hit |= np.isin(groups, touched[touched > 0]) & joined
    doubtful &= ~hit
    rim = ndimage.binary_dilation(hit, AROUND)
    rim |= ndimage.binary_dilation(rim, AROUND) & (extra > local)
    odd = missing | ndimage.binary_dilation(extra < -CONVINCING * sigma, AROUND)
    doubtful = ndimage.binary_dilation(doubtful, AROUND) | odd | glare | trail | near_trail | ~told
    labels.mark("CR", hit, rim | doubtful)
    labels.unsure &= ~labels.positive
    own = rim & ~ndimage.binary_dilation(doubtful, AROUND)
    charge = np.where(hit | own & (extra > local), extra, 0)
    doubtful |= rim | (defects.level != 0)
    return Verdict(labels, known, charge, doubtful, told)


def _convincing(frame, extra, sigma, groups, count, spoilt):
    """Groups that are hits for certain, and those that may be."""
    numbers = np.arange(1, count + 1)
    ratio = extra / sigma
    size = np.bincount(groups.ravel(), minlength=count + 1)[1:]
    peak = ndimage.maximum(ratio, groups, numbers) if count else np.zeros(0)
    together = ndimage.sum(ratio, groups, numbers) / np.sqrt(size) if count else np.zeros(0)
    # A single pixel may be one whose dark current jumps.
    sure = (size > 1) & ((peak > CONVINCING) | (size > 3) & (together > 2 * CONVINCING))
    touches = np.zeros(count + 1, bool)
    touches[np.unique(groups[spoilt])] = True
    sure &= ~touches[1:] & ~_starlike(frame, extra, groups, numbers)
    maybe = ~sure & ((peak > DOUBTFUL) | (size > 2))
    joined = ~touches[1:] & ((peak > DOUBTFUL) | (size > 1))
    return tuple(np.append(False, which)[groups] for which in (sure, maybe, joined))


def _mismatched(extra, sigma, difference):
    """Objects of which a good part differs, as seeing or brightness do; those that are missing."""
    objects, count = ndimage.label(difference.reference > 5 * difference.sky, AROUND)
    differs, size, light, more = (
        np.bincount(objects.ravel(), weights, count + 1)
        for weights in (
            (np.abs(extra) > POSITIVE * sigma).ravel(),
            None,
            difference.reference.ravel(),
            extra.ravel(),
        )
    )
    changed = (size > 8) & (differs > 0.25 * size)
    missing = more < -0.5 * light
    changed[0] = missing[0] = False
    return changed[objects], missing[objects]


def _clear_stars(frame):
    """Places of the peaks of stars that are bright but not saturated."""
    light = frame.light
    peaks = (light == ndimage.maximum_filter(light, 9)) & (light > 30 * frame.noise)
    return np.nonzero(peaks & (light < 0.7 * frame.full) & (frame.stars > 0) & ~frame.bad)


def _concentration(light, places):
    """Peaks by the mean of their eight neighbours; light in 3x3 by that in 9x9 pixels."""
    light = np.maximum(light, 0)
    inner, outer = (ndimage.uniform_filter(light, n)[places] * n**2 for n in (3, 9))
    peak = light[places]
    return 8 * peak / np.maximum(inner - peak, 1e-3 * peak + 1e-6), inner / np.maximum(outer, 1e-6)


def _starlike(frame, extra, groups, numbers):
    """Groups as wide as stars: variable ones, asteroids, what registration left."""
    peaks = _clear_stars(frame)
    if not len(numbers) or len(peaks[0]) < 5:
        return np.zeros(len(numbers), bool)
    sharpness, share = map(np.median, _concentration(frame.light, peaks))
    places = np.transpose(ndimage.maximum_position(extra, groups, numbers))
    hits = _concentration(extra, tuple(places))
    # Where stars are as sharp as hits, shape says nothing.
    return (hits[0] < min(1.2 * sharpness, 3)) & (hits[1] < min(1.3 * share, 0.6))


def _glare(frame, reference):
    """Saturated stars with what they flood, in this frame or in the others."""
    brightest = np.maximum(np.where(frame.bad, 0, frame.light), reference)
    full = brightest > frame.full
    if not full.any():
        return full
    flooded = ndimage.binary_propagation(full, mask=brightest > 0.15 * frame.full)
    return ndimage.binary_dilation(flooded, AROUND, iterations=4)


def _star_width(frame):
    """Sigma of the stars, in pixels."""
    peaks = _clear_stars(frame)
    if len(peaks[0]) < 3:
        return 1.5
    core, ring = (ndimage.gaussian_filter(frame.light, s) for s in (1, 2))
    # The peak of a Gaussian star of variance v, filtered by each: their ratio is (v + 4) / (v + 1).
    ratio = max(float(np.median(core[peaks] / ring[peaks])), 1.05)
    return float(np.sqrt(np.clip((4 - ratio) / (ratio - 1), 0.3, 40)))


def _trails(frame, ratio, told):
    """Long tracks as wide as stars, and where they may go on."""
    width = _star_width(frame)
    shortest = max(40, 12 * width)
    smooth = ndimage.gaussian_filter(np.where(told, np.clip(ratio, -4, 8), 0), width)
    scatter = 1.4826 * np.median(np.abs(smooth[told])) if told.any() else 1
    groups, _ = ndimage.label(smooth > 4 * scatter, AROUND)
    places = np.indices(ratio.shape, np.float32)
    trail, near = np.zeros((2, *ratio.shape), bool)
    for number, box in enumerate(ndimage.find_objects(groups), 1):
        if np.hypot(*(side.stop - side.start for side in box)) < shortest:
            continue
        within = groups == number
        pixels = places[:, within]
        centre = pixels.mean(axis=1)
        spread, axes = np.linalg.eigh(np.cov(pixels))
        if spread[0] > (2.5 * width) ** 2 or np.ptp(axes[:, 1] @ pixels) < shortest:
            continue
        off = np.abs(np.tensordot(axes[:, 0], places - centre[:, None, None], 1))
        # A hit's charge lies within a pixel or two of its line; a trail is as wide as a star.
        around = (off < 3 * width) & ndimage.binary_dilation(within, AROUND, 3)
        light = np.clip(ratio[around], 0, 50)
        if np.average(off[around] ** 2, weights=light) > (0.6 * width) ** 2:
            near |= around | (off < 3 * width)
            # Along a column or line it may be the edge of the detector, or a defect.
            if np.abs(axes[:, 1]).min() > 0.03:
                trail |= within
    return trail, near & ~trail
