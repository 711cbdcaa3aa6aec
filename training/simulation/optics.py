"""Point-spread functions from telescope optics: pupil, aberrations, seeing, halo.

The optics are monochromatic Fraunhofer images of an aberrated pupil, averaged over a band; seeing,
jitter and pixels multiply the optical transfer function.  All lengths are native pixels.

GalSim draws straight, evenly spaced vanes only, and the spikes of real telescopes are not all so:
hence optics of our own.  What GalSim can draw too is held to it by the tests.
"""

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from scipy import fft
from scipy.signal import fftconvolve
from scipy.spatial import KDTree
from scipy.special import gamma, kv

OVERSAMPLING = 3
# Least lambda / D in pixels: with less than one the pupil would not fit the grid.
SMALLEST = 1.15

ABERRATIONS = "defocus", "astigmatism", "coma", "trefoil", "spherical"
# What dominates them, and how often.
KINDS = {
    "sharp": 0.5,
    "defocus": 0.06,
    "astigmatism": 0.12,
    "coma": 0.1,
    "trefoil": 0.05,
    "donut": 0.05,
    "mixture": 0.12,
}


@dataclass(eq=False)
class Psf:
    """A point-spread function, fine in its core and wide in its wings.

    Attributes
    ----------
    core : ndarray of float32, shape (n, n)
        The core on pixels `OVERSAMPLING` times finer than native ones, before integration over a
        pixel; n is odd, the sum 1.  For all stars and galaxies.
    wide : ndarray of float32, shape (m, m), or None
        The same with diffraction spikes and halo, integrated over native pixels; m is odd, the
        sum 1.  For bright stars.
    wings : ndarray of float32, shape (m, m), or None
        `wide` without the part that `core` draws; its sum is under 1.
    fwhm : float
        Diameter of the circle with the area above half the maximum, in native pixels.
    vanes : int
        Number of the spider's vanes; without any there are no diffraction spikes.
    """

    core: np.ndarray
    wide: np.ndarray | None
    wings: np.ndarray | None
    fwhm: float
    vanes: int

    def groups(self, x, y):
        """Split stars by the point-spread function at their place.

        Parameters
        ----------
        x, y : ndarray, shape (n,)
            Positions in pixels.

        Yields
        ------
        psf : Psf
        chosen : ndarray of bool, shape (n,)
        """
        yield self, np.ones(len(x), bool)

    def moved(self, x, y):
        """What remains of the point-spread function when the image moves during the exposure.

        Parameters
        ----------
        x, y : ndarray, shape (n,)
            Offsets in native pixels at equal steps of time, finer than a fine pixel.

        Returns
        -------
        Psf
            Its `fwhm` is still that without the motion.
        """

        def along(image, track):
            # Rounding errors of the transforms would leave darkness below zero.
            return np.maximum(fftconvolve(image, track), 0).astype(np.float32)

        wide, wings = (
            image if image is None else along(image, dwell(x, y))
            for image in (self.wide, self.wings)
        )
        core = along(self.core, dwell(x * OVERSAMPLING, y * OVERSAMPLING))
        return replace(self, core=core, wide=wide, wings=wings)

    def dithered(self, rng):
        """The same, moved by up to half a fine pixel.

        Stars are drawn at every fine pixel; images should differ in which, so that there are no
        gaps: a sharp star between two pixels looks unlike one in the middle of a pixel.
        """
        return self.moved(*rng.uniform(-0.5, 0.5, (2, 1)) / OVERSAMPLING)

    @cached_property
    def core_share(self):
        """Share of a star's light that `core` draws when `wings` draws the rest."""
        return 1 - float(self.wings.sum())

    @cached_property
    def native(self):
        """The core integrated over native pixels and centred on one, odd shape, sum 1."""
        return self.stamps[OVERSAMPLING**2 // 2]

    @cached_property
    def stamps(self):
        """The core integrated over native pixels, for each place of a star within its pixel.

        ndarray of float32, shape (OVERSAMPLING**2, k, k): the fine pixels of a native one row by
        row; k is odd and each sum is 1.
        """
        n = self.core.shape[0]
        side = 2 * (-(-(n // 2 + 1) // OVERSAMPLING) + 1) + 1
        corner = side * OVERSAMPLING // 2 - n // 2
        stamps = []
        for dy, dx in np.ndindex(OVERSAMPLING, OVERSAMPLING):
            fine = np.zeros((side * OVERSAMPLING,) * 2, np.float32)
            top, left = corner + dy - OVERSAMPLING // 2, corner + dx - OVERSAMPLING // 2
            fine[top : top + n, left : left + n] = self.core
            stamps.append(fine.reshape(side, OVERSAMPLING, side, OVERSAMPLING).sum((1, 3)))
        return np.stack(stamps)


@dataclass(eq=False)
class PsfField(Psf):
    """Point-spread functions that differ over the field; elsewhere the first one stands for all.

    Attributes
    ----------
    places : ndarray, shape (k, 2)
        Positions (x, y) in pixels; each star takes what is nearest.
    psfs : list of Psf
        One per place.
    """

    places: np.ndarray
    psfs: list

    @classmethod
    def of(cls, places, psfs):
        """Make a field of the point-spread functions at some places."""
        first = {field.name: getattr(psfs[0], field.name) for field in fields(Psf)}
        return cls(**first, places=np.asarray(places), psfs=psfs)

    def groups(self, x, y):
        """Split stars by the nearest place; see `Psf.groups`."""
        nearest = KDTree(self.places).query(np.column_stack([x, y]))[1]
        for k, psf in enumerate(self.psfs):
            if (nearest == k).any():
                yield psf, nearest == k

    def moved(self, x, y):
        """Move every point-spread function alike; see `Psf.moved`."""
        return self.of(self.places, [psf.moved(x, y) for psf in self.psfs])


def random_psf(
    rng, fwhm=None, vanes=None, aberrations=None, ellipticity=None, wide=True, focusing=None
):
    """Draw a telescope and a night, and make their point-spread function.

    Parameters
    ----------
    rng : numpy.random.Generator
    fwhm : float, optional
        Full width at half maximum of the core in native pixels, 1.2 to 10 by default, mostly 1.5
        to 5.  It is met within some per cent; where aberrations alone are wider they shrink.
    vanes : int, optional
        Number of spider vanes; 0, 3, 4 (most often), 5, 6 or 8 by default.
    aberrations : dict of str to float, optional
        Relative weights of the Zernike polynomials in `ABERRATIONS`, and under ``"share"`` the part
        of the FWHM that their geometric spot makes up, more than 1 where the core is a narrow peak
        in it; ``"turn"`` is the angle in radians at which they all lie, each at its own without
        it.  Random by default, most often small.
    ellipticity : float, optional
        1 - b/a of the seeing disc; small and random by default.
    wide : bool
        Make the wide image too, which takes most of the time.
    focusing : bool, optional
        Whether the mask that observers focus with (Bahtinov 2005) was left on a telescope that has
        vanes; in 4 % of them by default.

    Returns
    -------
    Psf
    """
    if fwhm is None:
        fwhm = float(np.clip(rng.lognormal(np.log(2.8), 0.5), 1.2, 10))
    if vanes is None:
        vanes = int(rng.choice([0, 3, 4, 5, 6, 8], p=[0.2, 0.16, 0.4, 0.06, 0.12, 0.06]))
    if aberrations is None:
        aberrations = random_aberrations(rng)
    if ellipticity is None:
        ellipticity = float(min(rng.exponential(0.03), 0.15))
    share = aberrations.get("share", 0.0)
    part = rng.uniform()
    if share > 0.5:
        # Never below what the wings can be drawn with: there, aberrations would grow with it.
        lowest, highest = (0.08, 0.3) if share > 1 else (0.08, 0.15)
        airy = max(SMALLEST, fwhm * (lowest + part * (highest - lowest)))
    else:
        # From large telescopes, whose images the air alone blurs, to diffraction limited ones.
        lowest, highest = 0.12 * fwhm, max(0.45 * fwhm, SMALLEST)
        airy = lowest * (highest / lowest) ** part
    if focusing is None:
        focusing = vanes > 0 and rng.random() < 0.08
    pupil = _Pupil(rng, vanes, aberrations, airy, share * fwhm, focusing)
    seeing = _Seeing(rng, ellipticity)
    # Narrow bands, here a single wavelength, leave spikes in dashes.
    band = rng.choice([0.0, rng.uniform(0.05, 0.25)], p=[0.3, 0.7])
    wavelengths = np.linspace(-band, band, 3) / 2 if band else np.zeros(1)

    side = fft.next_fast_len(max(96, int(11 * fwhm * OVERSAMPLING)))
    for _ in range(5):
        optics = fft.rfft2(pupil.image(side, OVERSAMPLING, wavelengths))
        found = _fwhm(optics, side)
        if found < 0.93 * fwhm:
            break
        pupil.shrink(min(0.9 * fwhm / found, 0.9))
    frequency = _frequencies(side, OVERSAMPLING)
    width = np.sqrt(max(fwhm**2 - found**2, (0.2 * fwhm) ** 2))
    for _ in range(3):
        transfer = optics * seeing.transfer(*frequency, width)
        found = _fwhm(transfer, side)
        width = max(width + (fwhm - found) * max(fwhm / width, 1), 0.1 * fwhm)
    transfer = optics * seeing.transfer(*frequency, width)
    half = int(4 * fwhm * OVERSAMPLING)
    core = _centre(fft.irfft2(transfer, s=(side, side)), half)
    core = np.maximum(core, 0) * _taper(_radii(2 * half + 1), half + 0.5)
    wings = wide_image = None
    if wide:
        wide_image = _wide(rng, pupil, seeing, width, fwhm, wavelengths)
        outside = 1 - _taper(_radii(wide_image.shape[0]), (half + 0.5) / OVERSAMPLING)
        wings = (wide_image * outside).astype(np.float32)
    return Psf(
        core=(core / core.sum()).astype(np.float32),
        wide=wide_image,
        wings=wings,
        fwhm=_fwhm(transfer, side),
        vanes=vanes,
    )


def random_aberrations(rng, kinds=KINDS):
    """Draw weights of aberrations: none to speak of, one that dominates, or a mixture.

    Parameters
    ----------
    rng : numpy.random.Generator
    kinds : dict of str to float
        How often what dominates is which of `KINDS`.

    Returns
    -------
    dict of str to float
        As the argument of `random_psf`.
    """
    kind = rng.choice(list(kinds), p=list(kinds.values()))
    weights = {name: rng.normal(0, 0.3) for name in ABERRATIONS}
    if kind == "sharp":
        return weights | {"share": rng.uniform(0, 0.3)}
    if kind == "donut":
        return {"defocus": 1.0, "coma": rng.normal(0, 0.1), "share": rng.uniform(0.85, 0.95)}
    if kind != "mixture":
        weights = {name: weight / 3 for name, weight in weights.items()} | {kind: 1.0}
    if kind == "astigmatism":
        # Astigmatism shows as elongation away from the best focus only.
        weights["defocus"] = rng.choice([-1, 1]) * rng.uniform(0.2, 1.2)
    return weights | {"share": rng.uniform(0.3, 0.85)}


def dwell(x, y):
    """Image of a point that moves during an exposure.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        Offsets in pixels at equal steps of time.

    Returns
    -------
    ndarray of float32, shape (k, k)
        Share of the time spent at each pixel around the middle one; k is odd, the sum 1.
    """
    half = int(max(np.abs(x).max(), np.abs(y).max()) + 1)
    side = 2 * half + 1
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    track = np.zeros(side * side)
    for step_y, weight_y in ((0, row + 1 - y), (1, y - row)):
        for step_x, weight_x in ((0, column + 1 - x), (1, x - column)):
            pixel = (row + half + step_y) * side + column + half + step_x
            track += np.bincount(pixel, weight_x * weight_y, track.size)
    return (track / len(x)).reshape(side, side).astype(np.float32)


class _Pupil:
    """An obscured pupil with vanes and a wavefront error, for any sampling of its image."""

    def __init__(self, rng, vanes, aberrations, airy, blur, focusing):
        self.airy = airy
        self.obscuration = rng.uniform(0.15, 0.5) if vanes or rng.random() < 0.5 else 0.0
        self.opacity = rng.uniform(0.3, 1)
        self.vanes = []
        start = rng.uniform(0, 2 * np.pi)
        thickness = 10 ** rng.uniform(-2.3, -1.15)
        # Real spiders are now and then irregular, offset (tangent to the secondary) or curved.
        spread = rng.choice([0, rng.uniform(0, 0.25)], p=[0.8, 0.2])
        offset = rng.choice([0, rng.uniform(-0.15, 0.15)], p=[0.8, 0.2])
        bend = rng.choice([0, rng.uniform(-0.5, 0.5)], p=[0.9, 0.1])
        for k in range(vanes):
            angle = start + 2 * np.pi * k / vanes + rng.normal(0, 1) * spread
            width = thickness * rng.uniform(0.8, 1.25)
            self.vanes.append((float(angle), width, float(offset), float(bend)))
        # Bars of a focusing mask: their number over the diameter, the share that is open, the tilt,
        # to one side or the other, of those in two quarters of the pupil, and the turn of all.
        self.bars = None
        if focusing:
            tilt, turn = float(np.radians(rng.uniform(10, 25))), rng.uniform(0, 2 * np.pi)
            self.bars = rng.uniform(8, 25), rng.uniform(0.4, 0.6), tilt, turn
        # A pattern of n-fold symmetry turns by the n-th part of its phase.
        folds = {"astigmatism": 2, "trefoil": 3}
        if "turn" in aberrations:
            self.turns = {name: folds.get(name, 1) * aberrations["turn"] for name in ABERRATIONS}
        else:
            self.turns = {name: rng.uniform(0, 2 * np.pi) for name in ABERRATIONS}
        self.weights = {name: aberrations.get(name, 0.0) for name in ABERRATIONS}
        self._scale(blur)

    def _scale(self, blur):
        """Scale the wavefront so that its geometric spot has this FWHM-equivalent width."""
        axis = np.linspace(-1, 1, 65)
        x, y = np.meshgrid(axis, axis)
        inside = (np.hypot(x, y) < 1) & (np.hypot(x, y) > self.obscuration)
        slopes = np.gradient(self._wavefront(x, y), axis[1] - axis[0])
        spot = 2 * self.airy * np.sqrt(np.mean([np.var(s[inside]) for s in slopes]))
        self.shrink(float(blur / (2.355 * spot)) if spot > 0 else 0.0)

    def shrink(self, factor):
        """Multiply all aberrations by a factor."""
        self.weights = {name: weight * factor for name, weight in self.weights.items()}

    def _wavefront(self, x, y):
        """Wavefront error in waves at pupil coordinates in units of the pupil's radius.

        Zernike polynomials with Noll's normalisation, less their constant and linear terms.
        """
        rr = x * x + y * y
        turned = [
            (weight * math.cos(turn), weight * math.sin(turn))
            for weight, turn in zip(self.weights.values(), self.turns.values(), strict=True)
        ]
        _, (b, c), (d, e), (f, g), _ = turned
        return (
            rr * (3.464 * self.weights["defocus"] - 13.416 * self.weights["spherical"])
            + 2.449 * (b * (x * x - y * y) + 2 * c * x * y)
            + 8.485 * rr * (d * x + e * y)
            + 2.828 * (f * x * (x * x - 3 * y * y) + g * y * (3 * x * x - y * y))
            + 13.416 * self.weights["spherical"] * rr * rr
        )

    def image(self, side, oversampling, wavelengths):
        """Image of a point in a square of this side, centred on [0, 0], sum 1.

        `wavelengths` are relative offsets from the central one.  On native pixels a large telescope
        is drawn as a smaller one: they differ in their wings only.
        """
        airy = max(self.airy, SMALLEST / oversampling)
        total = np.zeros((side, side), np.float32)
        for offset in wavelengths.tolist():
            # A pupil that outgrew the grid would be cut square.
            across = min(side / (oversampling * airy * (1 + offset)), side - 3)
            count = 2 * int(across / 2 + 1) + 1
            x = (np.arange(count, dtype=np.float32) - count // 2) * (2 / across)
            y = x[:, None]
            field = np.zeros((side, side), np.complex64)
            phase = self._wavefront(x, y) * (2 * math.pi / (1 + offset))
            field.real[:count, :count] = np.cos(phase)
            field.imag[:count, :count] = np.sin(phase)
            field[:count, :count] *= self._transmission(x, y, across / 2)
            field = fft.fft2(field, overwrite_x=True)
            total += (field.real**2 + field.imag**2) / across**2
        return total / total.sum()

    def _transmission(self, x, y, scale):
        """Amplitude passed by the pupil, edges softened over one sample (`scale` per radius)."""

        def inside(distance):
            return np.clip(distance * scale + 0.5, 0, 1)

        r = np.sqrt(x * x + y * y)
        passed = inside(1 - r) * (1 - inside(self.obscuration - r))
        for angle, thickness, offset, bend in self.vanes:
            c, s = math.cos(angle), math.sin(angle)
            along = x * c + y * s
            across = y * c - x * s - offset
            if bend:
                across -= bend * along * (along - 1)
            # The narrower a vane against a sample, the less it takes away.
            deepest = self.opacity * min(1, 2 * thickness * scale)
            cut = np.minimum(inside(thickness - np.abs(across)), deepest)
            passed *= 1 - cut * (along > 0)
        if self.bars:
            number, open_share, tilt, turn = self.bars
            u = x * math.cos(turn) + y * math.sin(turn)
            v = y * math.cos(turn) - x * math.sin(turn)
            tilted = np.where(v > 0, tilt, -tilt)
            across = np.where(u > 0, u * np.cos(tilted) + v * np.sin(tilted), u)
            passed *= (across * number / 2) % 1 < open_share
        return passed


class _Seeing:
    """Atmosphere and jitter, as an optical transfer function."""

    def __init__(self, rng, ellipticity):
        self.kind = rng.choice(["kolmogorov", "moffat", "gaussian"], p=[0.45, 0.4, 0.15])
        self.beta = rng.uniform(2.2, 5)
        self.angle = rng.uniform(0, np.pi)
        self.stretch = (1 - ellipticity) ** -0.5

    def transfer(self, fx, fy, fwhm):
        """Transfer function at frequencies in cycles per native pixel, for a FWHM in pixels."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        f = np.hypot((fx * c + fy * s) * self.stretch, (fy * c - fx * s) / self.stretch)
        if self.kind == "kolmogorov":  # FWHM = 0.976 lambda / r0 (Fried 1966)
            return np.exp(-3.44 * (f * fwhm / 0.976) ** (5 / 3))
        if self.kind == "gaussian":
            return np.exp(-((np.pi * f * fwhm) ** 2) / (4 * np.log(2)))
        b = self.beta - 1  # Moffat's transform is a modified Bessel function
        grid = np.linspace(0, f.max(), 400)
        k = np.maximum(np.pi * grid * fwhm / np.sqrt(2 ** (1 / self.beta) - 1), 1e-6)
        return np.interp(f, grid, 2 / gamma(b) * (k / 2) ** b * kv(b, k))


def _wide(rng, pupil, seeing, width, fwhm, wavelengths):
    """Spikes, wings and halo on native pixels, odd shape up to 901, sum 1."""
    half = int(np.clip(140 * fwhm, 200, 450))
    side = fft.next_fast_len(2 * half + int(4 * fwhm))
    frequency = _frequencies(side, 1)
    transfer = fft.rfft2(pupil.image(side, 1, wavelengths))
    transfer *= seeing.transfer(*frequency, width) * np.sinc(frequency[0]) * np.sinc(frequency[1])
    image = np.maximum(_centre(fft.irfft2(transfer, s=(side, side)), half), 0)
    r = _radii(2 * half + 1)
    if rng.random() < 0.5:
        halo = (r**2 + (2 * fwhm) ** 2) ** (-rng.uniform(2, 3.4) / 2)
    else:
        halo = np.exp(-r / (fwhm * rng.uniform(3, 15)))
    share = 10 ** rng.uniform(-2.7, -0.9)
    # A round edge: no star has a square halo.
    image = ((1 - share) * image / image.sum() + share * halo / halo.sum()) * _taper(r, half)
    return (image / image.sum()).astype(np.float32)


def _frequencies(side, oversampling):
    """Frequencies (fx, fy) of a real transform, in cycles per native pixel."""
    fx = fft.rfftfreq(side).astype(np.float32) * oversampling
    fy = fft.fftfreq(side).astype(np.float32)[:, None] * oversampling
    return fx, fy


def _centre(image, half):
    """Square of side ``2 * half + 1`` around [0, 0] of a periodic image."""
    index = np.arange(-half, half + 1)
    return image[np.ix_(index, index)]


def _radii(side):
    """Distance of each pixel from the middle one of a square of odd side."""
    axis = np.arange(side, dtype=np.float32) - side // 2
    return np.hypot(axis, axis[:, None])


def _taper(r, radius):
    """1 inside three quarters of the radius, 0 outside it, smooth between."""
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(4 * r / radius - 3, 0, 1))


def _fwhm(transfer, side):
    """FWHM in native pixels of the image with this real transform, by area."""
    zoom = 4 if side < 200 else 2
    image = fft.irfft2(_padded(transfer, side * zoom), s=(side * zoom,) * 2)
    area = np.count_nonzero(image > image.max() / 2) / (zoom * OVERSAMPLING) ** 2
    return float(2 * np.sqrt(area / np.pi))


def _padded(transfer, side):
    """Zero-pad a real transform of an even or odd square to another side."""
    rows, columns = transfer.shape
    padded = np.zeros((side, side // 2 + 1), transfer.dtype)
    top = (rows + 1) // 2
    padded[:top, :columns] = transfer[:top]
    padded[top - rows :, :columns] = transfer[top:]
    return padded
