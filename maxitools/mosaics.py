"""Where the detectors of a mosaic lie, from their headers."""

import re
from dataclasses import dataclass

import numpy as np

_SECTION = re.compile(r"\s*\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]\s*")
# Space between the images of a sheet, in units of their mean side.
_GAP = 0.04


@dataclass(frozen=True)
class Place:
    """
    The rectangle that a detector takes in a picture of all of them.

    Attributes
    ----------
    left, bottom, width, height : float
        In a unit that all the detectors share, x to the right and y upwards.
    transposed : bool
        Whether the detector's columns are rows of the picture; this comes first.
    flipped : tuple of bool
        Whether x and y, of the picture, run against the detector's.
    """

    left: float
    bottom: float
    width: float
    height: float
    transposed: bool = False
    flipped: tuple = (False, False)

    def turned(self, image):
        """
        An image as it lies in the picture.

        Parameters
        ----------
        image : ndarray, (H, W)
            Its first row is the lowest.

        Returns
        -------
        ndarray
            (H, W) or, if transposed, (W, H).
        """
        image = image.T if self.transposed else image
        return image[:: -1 if self.flipped[1] else 1, :: -1 if self.flipped[0] else 1]


def places(headers, shapes):
    """
    Place detectors as `DETSEC` tells, else as their WCS do, else on a sheet, in rows.

    Parameters
    ----------
    headers : sequence of astropy.io.fits.Header
    shapes : sequence of tuple of int
        (H, W) of each detector.

    Returns
    -------
    list of Place
        No two of them overlap by much.
    """
    for way in (_by_detsec, _by_wcs):
        found = way(headers, shapes) if len(shapes) > 1 else None
        if found and _sensible(found):
            return found
    return _sheet(shapes)


def _by_detsec(headers, shapes):
    found = []
    for header in headers:
        match = _SECTION.fullmatch(str(header.get("DETSEC", "")))
        if not match:
            return None
        x1, x2, y1, y2 = map(int, match.groups())
        size = abs(x2 - x1) + 1, abs(y2 - y1) + 1
        found.append(Place(min(x1, x2), min(y1, y2), *size, flipped=(x1 > x2, y1 > y2)))
    return found


def _by_wcs(headers, shapes):
    """In the pixels of the first detector, to the nearest right angle."""
    from astropy.wcs import WCS

    found, first = [], None
    for header, (height, width) in zip(headers, shapes, strict=True):
        try:
            wcs = WCS(header).celestial
            corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) - 0.5
            first = first or wcs
            corners = first.wcs_world2pix(wcs.wcs_pix2world(corners, 0), 0)
        except Exception:
            # A WCS that breaks the rules, or that tells of no sky, raises nearly any type.
            return None
        if not np.isfinite(corners).all():
            return None
        x, y = corners[1] - corners[0], corners[2] - corners[0]
        transposed = bool(abs(x[1]) > abs(x[0]))
        if transposed:
            x, y = y, x
        size = np.hypot(*x), np.hypot(*y)
        left, bottom = corners.mean(0) - np.array(size) / 2
        flipped = bool(x[0] < 0), bool(y[1] < 0)
        found.append(Place(left, bottom, *size, transposed, flipped))
    return found


def _sensible(found):
    """Whether the places overlap by little, and are not lost in a void."""
    left, bottom, width, height = np.array(
        [(place.left, place.bottom, place.width, place.height) for place in found]
    ).T
    if not (width.min() > 0 and height.min() > 0):
        return False

    def shared(start, size):
        ends = start + size
        return np.minimum.outer(ends, ends) - np.maximum.outer(start, start)

    common = np.clip(shared(left, width), 0, None) * np.clip(shared(bottom, height), 0, None)
    area = width * height
    np.fill_diagonal(common, 0)
    spread = np.ptp([left, left + width]) * np.ptp([bottom, bottom + height])
    return bool((common < 0.3 * np.minimum.outer(area, area)).all() and spread < 20 * area.sum())


def _sheet(shapes):
    """One after the other in rows from the top, all together about as wide as high."""
    gap = _GAP * np.sqrt(np.prod(shapes, axis=1)).mean()
    widest = np.sqrt(np.prod(np.add(shapes, gap), axis=1).sum())
    found, left, top, highest = [], 0, 0, 0
    for height, width in shapes:
        if left and left + width > widest:
            left, top, highest = 0, top - highest - gap, 0
        found.append(Place(left, top - height, width, height))
        left, highest = left + width + gap, max(highest, height)
    return found
