"""How the image moves on the detector during an exposure."""

import numpy as np
from scipy import ndimage

from training.simulation.contaminants import log_uniform

# Elongation of the motion (see `elongation`) in FWHM: less than the first is no tracking error,
# more than the second is one, and between them nobody can say.  A drift of 0.5 FWHM has 0.144.
UNAFFECTED, AFFECTED = 0.05, 0.144
STEPS = 3000

# How often each is drawn.
MOTIONS = {
    "drift": 0.15,
    "jumps": 0.17,
    "oscillation": 0.11,
    "walk": 0.145,
    "shake": 0.05,
    "lost": 0.05,
    "rotation": 0.025,
    "trail": 0.14,
    "arc": 0.16,
}
# The long ones, in pixels: unlike all else, their stars fill no stamp any more.
LONG = {"trail": (15, 300), "arc": (60, 350)}
OFTEN_LONG = sum(MOTIONS[kind] for kind in LONG)


def motion(rng, kind, extent):
    """Draw how the image moves on the detector during an exposure.

    Parameters
    ----------
    rng : numpy.random.Generator
    kind : str
        Of `MOTIONS`, but for ``"rotation"``: ``"drift"`` at a nearly constant rate, one or more
        ``"jumps"``, periodic ``"oscillation"``, random ``"walk"``, ``"shake"`` by gusts of wind,
        guiding ``"lost"`` half-way, star ``"trail"`` without tracking, ``"arc"`` that bends, waves
        or closes to loops.
    extent : float
        Length of the motion along its longest axis, of an arc along its path, in pixels.

    Returns
    -------
    x, y : ndarray, shape (STEPS,)
        Offsets from the mean position at equal steps of time, in pixels.
    """
    t = np.linspace(0, 1, STEPS)
    bend = 0 * t
    if kind in ("drift", "trail"):
        along = t + rng.uniform(0, 0.5) * np.sin(
            np.pi * rng.uniform(0.2, 2) * t + rng.uniform(0, 6)
        )
        bend = rng.normal(0, 0.06) * (2 * along - 1) ** 2
    elif kind == "jumps":
        jumps = rng.choice([1, 2, 3, 5], p=[0.6, 0.2, 0.12, 0.08])
        stay = np.searchsorted(np.cumsum(rng.dirichlet(np.full(jumps + 1, 2.0))), t * (1 - 1e-9))
        along = np.cumsum(rng.choice([-1, 1], jumps + 1) * rng.uniform(0.3, 1, jumps + 1))[stay]
        bend = (np.cumsum(rng.normal(0, 0.4, jumps + 1)))[stay] if jumps > 1 else bend
    elif kind == "oscillation":
        phase = 2 * np.pi * (rng.uniform(0.5, 12) * t + rng.uniform())
        along = np.sin(phase) * (1 - rng.uniform(0, 0.5) * t)
        bend = rng.uniform(0, 0.5) * np.sin(phase + rng.uniform(0, 2 * np.pi))
    elif kind == "walk":
        # The slower the steps against the exposure, the smoother the path.
        steps = rng.standard_normal((2, STEPS)) * [[1], [rng.uniform(0.1, 1)]]
        along, bend = ndimage.gaussian_filter1d(
            np.cumsum(steps, axis=1), log_uniform(rng, 1, STEPS / 15), axis=1
        )
    elif kind == "shake":
        gust = ndimage.gaussian_filter1d(rng.standard_normal(STEPS), STEPS / rng.uniform(5, 30))
        ring = np.sin(2 * np.pi * (rng.uniform(10, 60) * t + rng.uniform()))
        along = ring * (np.abs(gust) / np.abs(gust).max()) ** rng.uniform(0.5, 2)
        bend = rng.uniform(0, 0.4) * np.roll(along, STEPS // 7)
    elif kind == "lost":
        start = rng.uniform(0.2, 0.85)
        along = np.maximum(t - start, 0) ** rng.uniform(0.7, 2)
    elif kind == "arc":
        waves = rng.choice([0, rng.uniform(0, 1.2)]) * np.sin(
            2 * np.pi * (rng.uniform(0.5, 4) * t + rng.uniform())
        )
        heading = log_uniform(rng, 0.2, 7) * t + waves
        rate = 1 + rng.uniform(0, 0.7) * np.sin(
            2 * np.pi * (rng.uniform(0.2, 2) * t + rng.uniform())
        )
        along, bend = np.cumsum(rate * np.cos(heading)), np.cumsum(rate * np.sin(heading))
    else:
        raise ValueError(f"no motion is called {kind!r}; known are {', '.join(MOTIONS)}")
    scale = extent / (rate.sum() if kind == "arc" else max(np.ptp(along), 1e-9))
    if kind in ("drift", "trail", "jumps"):
        bend = bend * np.ptp(along)
    angle = rng.choice([rng.uniform(0, 2 * np.pi), rng.integers(4) * np.pi / 2], p=[0.7, 0.3])
    along, bend = (scale * (part - part.mean()) for part in (along, bend))
    return along * np.cos(angle) - bend * np.sin(angle), along * np.sin(angle) + bend * np.cos(
        angle
    )


def elongation(x, y):
    """By how much a motion widens an image more along one axis than across.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        Offsets in pixels at equal steps of time.

    Returns
    -------
    float
        Root of the difference of the two principal variances, in pixels.
    """
    small, large = np.linalg.eigvalsh(np.cov(x, y))
    return float(np.sqrt(large - small))


def random_motion(rng, fwhm, long=OFTEN_LONG):
    """Draw a motion that shows, of any kind but rotation of the field.

    Parameters
    ----------
    rng : numpy.random.Generator
    fwhm : float
        In pixels.
    long : float
        How often it is one of `LONG`; these, and all others, keep their shares among each other.

    Returns
    -------
    kind : str
    x, y : ndarray, shape (n,)
        Offsets in pixels.
    """
    short = [kind for kind in MOTIONS if kind not in ("rotation", *LONG)]
    while True:
        kinds = list(LONG) if rng.uniform() < long else short
        shares = np.array([MOTIONS[kind] for kind in kinds])
        kind = str(rng.choice(kinds, p=shares / shares.sum()))
        extent = log_uniform(rng, *LONG.get(kind, (0.5 * fwhm, 8 * fwhm)))
        x, y = motion(rng, kind, extent)
        if rng.uniform() < 0.15 and kind in short:
            x, y = (a + b for a, b in zip((x, y), motion(rng, "shake", 0.5 * extent), strict=True))
        if elongation(x, y) > AFFECTED * fwhm:
            return kind, x, y
