"""Exposures of one field laid over each other: place, flux and seeing, fitted to their stars."""

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from maxitools.background import interpolate_grid, mesh_grid

MESH = 64
# Registered frames explain at least this share of each other's stars.
AGREEMENT = 0.6
# At least this share of the stars' pixels is in both.
OVERLAP = 0.25


class RegistrationError(ValueError):
    """A frame that shows no stars, or others than the frame that it is laid over."""


@dataclass(eq=False)
class Frame:
    """An exposure above its sky.

    Attributes
    ----------
    name : str
    image : ndarray, float32, (H, W)
        As it was read, finite.
    light : ndarray, float32, (H, W)
        Above the local sky.
    noise : float
        Of the sky, in the image's unit.
    bad : ndarray, bool, (H, W)
        Pixels that nothing can be said about: not finite, or in the mask of bad pixels.
    stars : ndarray, float32, (H, W)
        What stands out of the sky and is wider than a hit, tamed; 0 elsewhere.
    full : float
        Level of `light` from which a star may be saturated.
    matrix, offset : ndarray, (2, 2) and (2,)
        From (y, x) of the frame that all are laid over to those of this one.
    scale, blur : float
        What the first frame's light is in this one's; how much wider this one's stars are, as
        the difference of the squares of the sigma, in pixels.
    """

    name: str
    image: np.ndarray
    light: np.ndarray
    noise: float
    bad: np.ndarray
    stars: np.ndarray
    full: float
    matrix: np.ndarray
    offset: np.ndarray
    scale: float = 1.0
    blur: float = 0.0


def read_frame(name, image, bad=None, saturation=None):
    """
    A frame, not yet registered.

    Parameters
    ----------
    name : str
    image : ndarray, (H, W)
    bad : ndarray of bool, (H, W), optional
    saturation : float, optional
        Level of the image from which pixels are saturated. Where nobody knows it, what is
        brighter than .6 of the brightest pixel is not trusted.

    Returns
    -------
    Frame
    """
    image = image.astype(np.float32)
    lost = ~np.isfinite(image)
    image[lost] = np.median(image[~lost]) if not lost.all() else 0
    level, noise, centres = mesh_grid(image, MESH)
    level = ndimage.median_filter(level, 3, mode="nearest")
    light = image - interpolate_grid(level, centres, image.shape)
    noise = max(float(np.median(noise)), 1e-6)
    bad = lost if bad is None else lost | bad
    wide = ndimage.median_filter(np.where(bad, 0, light), 3) / noise
    full = image.max() * 0.6 if saturation is None else 0.9 * saturation
    return Frame(
        name=name,
        image=image,
        light=light,
        noise=noise,
        bad=bad,
        stars=np.where(wide > 5, np.sqrt(np.clip(wide, 0, 400)), 0).astype(np.float32),
        full=full - float(np.median(level)),
        matrix=np.eye(2),
        offset=np.zeros(2),
    )


def register(frame, first):
    """
    Fit place, flux and seeing of a frame to those of the first.

    Place is an affine map. The difference of the seeing is that of the squares of the widths:
    to first order a Gaussian that is wider adds the Laplacian, half as much.

    Parameters
    ----------
    frame, first : Frame
        Of one shape. The former's `matrix`, `offset`, `scale` and `blur` are set.

    Raises
    ------
    RegistrationError
    """
    stars, smooth = first.stars, ndimage.gaussian_filter(first.light, 1)
    other = ndimage.gaussian_filter(frame.light, 1)
    use = (stars > 0) & (first.light < first.full)
    count = ndimage.label(stars)[1]
    if count < 3:
        raise RegistrationError(f"{first.name}: fewer than three stars to register others by")
    offset, matrix = _coarse_offset(stars, frame.stars), np.eye(2)
    places = np.array(np.nonzero(use))
    middle = (np.array(use.shape) - 1) / 2
    rows, columns = places - middle[:, None]
    parts = [
        ndimage.spline_filter(part, output=np.float32)
        for part in (other, *np.gradient(other), ndimage.gaussian_laplace(frame.light, 1))
    ]
    target = smooth[use]
    # What is bright differs by more than its noise: flat field, seeing.
    sigma = np.sqrt(first.noise**2 + (0.1 * target) ** 2)
    left = np.zeros_like(target)
    for step in range(14):
        moved = matrix @ places + offset[:, None]
        value, along_y, along_x, curved = (
            ndimage.map_coordinates(part, moved, prefilter=False) for part in parts
        )
        terms = [value, along_y, along_x]
        if step >= 5:
            terms.append(curved)
            # A turn needs more stars than a shift.
            if count >= 10:
                terms += [along_y * rows, along_y * columns, along_x * rows, along_x * columns]
        terms = np.stack(terms, -1)
        inside = np.all((moved >= 0) & (moved <= 2 * middle[:, None]), axis=0)
        root = inside / sigma / np.hypot(1, left / 4)
        fit = np.linalg.lstsq(terms * root[:, None], target * root, rcond=None)[0]
        left = (target - terms @ fit) / sigma
        if inside.sum() < 50 or inside.mean() < OVERLAP or not fit[0] > 0:
            raise RegistrationError(f"{frame.name}: does not show the stars of {first.name}")
        shift = np.clip(fit[1:3] / fit[0], -1.5, 1.5)
        if len(fit) > 4:
            turn = (fit[4:] / fit[0]).reshape(2, 2)
            matrix = matrix + turn
            shift = shift - turn @ middle
        offset = offset + shift
    weight = root**2
    scatter = np.average((target - np.average(target, weights=weight)) ** 2, weights=weight)
    explained = 1 - np.average((target - terms @ fit) ** 2, weights=weight) / scatter
    if explained < AGREEMENT:
        raise RegistrationError(
            f"{frame.name}: only {max(explained, 0):.0%} alike to {first.name} where that has "
            f"stars, {AGREEMENT:.0%} is needed"
        )
    frame.matrix, frame.offset = matrix, offset
    frame.scale, frame.blur = 1 / fit[0], -2 * fit[3] / fit[0]


def _coarse_offset(first, second):
    """Whole pixels from the place of a star in the first image to that in the second."""
    size = [fft.next_fast_len(n + m) for n, m in zip(first.shape, second.shape, strict=True)]
    product = fft.rfft2(second, size) * np.conj(fft.rfft2(first, size))
    match = ndimage.gaussian_filter(fft.irfft2(product, size), 1, mode="wrap")
    place = np.unravel_index(match.argmax(), match.shape)
    return np.array([p - n if p > n // 2 else p for p, n in zip(place, size, strict=True)], float)


def between(frame, other):
    """
    Map from the pixels of one registered frame to those of another.

    Returns
    -------
    matrix, offset : ndarray, (2, 2) and (2,)
    """
    matrix = other.matrix @ np.linalg.inv(frame.matrix)
    return matrix, other.offset - matrix @ frame.offset


def distance(frame, other):
    """How far the sky moved on the detector from one frame to another, in pixels, mid-frame."""
    middle = (np.array(frame.light.shape) - 1) / 2
    matrix, offset = between(frame, other)
    return float(np.hypot(*(matrix @ middle + offset - middle)))


def overlay(other, frame, order):
    """
    Another frame's light as this one would have shown it.

    Parameters
    ----------
    other, frame : Frame
        Registered.
    order : int
        Of the spline that interpolates.

    Returns
    -------
    light : ndarray, float32, (H, W)
    valid : ndarray, bool, (H, W)
    """
    light = other.light
    blur = frame.blur - other.blur
    if blur > 0.02:
        light = ndimage.gaussian_filter(light, np.sqrt(blur))
    elif blur < 0:
        light = light + max(blur, -0.6) / 2 * ndimage.laplace(light)
    matrix, offset = between(frame, other)
    light = ndimage.affine_transform(light, matrix, offset, order=order, mode="nearest")
    valid = ndimage.affine_transform((~other.bad).astype(np.uint8), matrix, offset, order=0) > 0
    light *= frame.scale / other.scale
    return light, valid
