"""What saturated stars do to a detector: full wells, bleeding columns and all their ends."""

import numpy as np
from scipy import ndimage

from training.simulation.contaminants import log_uniform


def saturate(rng, electrons, well):
    """
    Fill pixels up to the full well; the excess bleeds along columns or rows, or is lost.

    Bleeding may widen near the star, spill a little into the columns beside it, come in from
    outside the frame, and end in a step, in a taper, or in charge that lags behind.

    Parameters
    ----------
    rng : numpy.random.Generator
    electrons : ndarray, (H, W)
        Charge that would be collected without a limit.
    well : float
        Full well in electrons.

    Returns
    -------
    electrons : ndarray, float32, (H, W)
        What the wells hold.
    saturated : ndarray, bool, (H, W)
        Pixels at the full well, bleeding included, and those of a tip above half of it.
    """
    filled = np.minimum(electrons, well).astype(np.float32)
    saturated = electrons >= well
    intruding = rng.uniform() < 0.04
    if not intruding and (not saturated.any() or rng.uniform() < 0.25):
        return filled, saturated
    rows = rng.uniform() < 0.25
    charge, held, full = (a.T if rows else a for a in (electrons, filled, saturated))
    runs = _runs(charge, full, well)
    if rng.uniform() < 0.4:
        steps, leak = int(rng.integers(1, 5)), log_uniform(rng, 0.003, 0.15)
        runs = _widened(runs, steps, leak, held.shape[1])
    if intruding:
        runs += _from_outside(rng, held.shape, well)
    kept = 1 - rng.choice([0.0, rng.uniform(0, 0.95)])
    first_side = rng.choice([0.0, 1.0, rng.uniform(0.2, 0.8), 0.5], p=[0.1, 0.1, 0.2, 0.6])
    ragged = rng.choice([0.0, 0.02, 0.2])
    tip = _random_tip(rng, well)
    for column, start, stop, excess in runs:
        excess *= kept
        for share, side in (
            (first_side * excess, np.s_[stop:]),
            ((1 - first_side) * excess, np.s_[start - 1 :: -1] if start else np.s_[:0]),
        ):
            share *= np.exp(ragged * rng.standard_normal())
            end = _fill(held[side, column], full[side, column], share, well)
            if share > well:
                held_on, full_on = held[side, column][end:], full[side, column][end:]
                _finish(held_on, full_on, tip, well, deferring=side.step is None)
    if rng.uniform() < 0.2:
        beside = np.pad(full, ((0, 0), (1, 1)))
        beside = [b & ~full for b in (beside[:, 2:], beside[:, :-2])][rng.integers(2)]
        held[beside] = np.maximum(held[beside], well * log_uniform(rng, 0.01, 0.5))
    return filled, saturated


def _runs(charge, full, well):
    """Stretches of saturated pixels: (column, start, stop, charge in excess)."""
    ends = np.diff(np.pad(full, ((1, 1), (0, 0))).astype(np.int8), axis=0).T
    (columns, starts), (_, stops) = np.nonzero(ends == 1), np.nonzero(ends == -1)
    return [
        (column, start, stop, float((charge[start:stop, column] - well).sum()))
        for column, start, stop in zip(columns, starts, stops, strict=True)
    ]


def _widened(runs, steps, leak, width):
    """What spills from the columns of a star into their neighbours, which bleed in turn."""
    spilt = [
        (column + side * step, (start + stop) // 2, (start + stop) // 2, excess * leak**step)
        for column, start, stop, excess in runs
        for side in (-1, 1)
        for step in range(1, steps + 1)
        if 0 <= column + side * step < width
    ]
    return runs + spilt


def _from_outside(rng, shape, well):
    """Columns that bleed in from a star beyond the first or the last row."""
    row = int(rng.choice([0, shape[0]]))
    width = int(log_uniform(rng, 1, 20))
    left = int(rng.integers(shape[1]))
    # Columns through the middle of a star hold most, and reach farthest.
    profile = 1 - np.abs(np.linspace(-1, 1, width + 2)[1:-1]) ** rng.uniform(0.5, 4)
    excess = well * log_uniform(rng, 4, 2 * shape[0]) * 2 * profile
    return [(left + k, row, row, e) for k, e in enumerate(excess) if left + k < shape[1]]


def _fill(held, full, share, well):
    """Fill wells one after the other, in place; the number of the first that is not full."""
    taken = np.cumsum(well - held)
    end = int(np.searchsorted(taken, share, side="right"))
    if end < len(held):
        held[end] += max(share - (taken[end - 1] if end else 0.0), 0.0)
    held[:end] = well
    full[:end] = True
    return end


def _random_tip(rng, well):
    """How bleeding ends in this camera: what is added in the pixels from the end onwards."""
    steps = np.arange(400)
    taper = np.zeros(400, np.float32)
    if rng.uniform() < 0.5:
        length = log_uniform(rng, 1.5, 40)
        taper = well * np.clip(1 - (steps + 1) / length, 0, 1) ** log_uniform(rng, 0.4, 3)
    deferred = np.zeros(400, np.float32)
    if rng.uniform() < 0.4:
        deferred = well * log_uniform(rng, 1e-3, 0.3) * np.exp(-steps / log_uniform(rng, 1.5, 60))
    return taper, deferred


def _finish(held, full, tip, well, deferring):
    """Draw the end of a bleeding column, in place; charge lags on one side only."""
    taper, deferred = tip
    count = min(len(held), len(taper))
    held[:count] = np.minimum(held[:count] + taper[:count] + deferring * deferred[:count], well)
    full[:count] |= np.logical_and.accumulate(held[:count] > 0.5 * well)


def aftermath(rng, saturated, noise):
    """
    What saturated pixels leave elsewhere: dark trails while the amplifier recovers, cross-talk.

    Parameters
    ----------
    rng : numpy.random.Generator
    saturated : ndarray, bool, (H, W)
    noise : float
        Noise of the sky in electrons, the scale of what is left.

    Returns
    -------
    ndarray, float32, (H, W)
        Electrons to be added.
    """
    left = np.zeros(saturated.shape, np.float32)
    full = saturated.astype(np.float32)
    if rng.uniform() < 0.5:
        axis, forward = int(rng.integers(2)), rng.choice([-1, 1])
        soft = ndimage.gaussian_filter1d(full, rng.uniform(0.3, 2), axis=1 - axis)
        trail = _carried_on(soft, np.exp(-1 / log_uniform(rng, 5, 400)), axis, forward)
        depth = noise * log_uniform(rng, 0.3, 40) * rng.choice([-1, -1, -1, 1])
        left += depth * trail * (1 - full)
    if rng.uniform() < 0.5:
        shifted = [
            full[:, ::-1],
            full[::-1],
            full[::-1, ::-1],
            np.roll(full, saturated.shape[1] // 2, 1),
        ]
        ghost = shifted[rng.integers(4)]
        left += noise * log_uniform(rng, 0.5, 40) * rng.choice([-1, 1]) * ghost * (1 - full)
    return left


def _carried_on(image, factor, axis, forward):
    """Each pixel carried on along an axis, less by a factor with each step."""
    moved = np.moveaxis(image, axis, 0)[::forward].copy()
    for k in range(1, len(moved)):
        np.maximum(moved[k], factor * moved[k - 1], out=moved[k])
    return np.moveaxis(moved[::forward], 0, axis)
