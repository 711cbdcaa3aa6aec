"""Pixel values -> those that are data."""

import numpy as np

# No unit of an exposure gives pixels so large. UNSEEN of HEALPix is -1.6e30, INDEF of IRAF 1.6e38,
# the largest float32 3.4e38.
_LARGEST = 1e30


def has_data(image):
    """
    Whether an image holds anything but zeros and values that are no data.

    Parameters
    ----------
    image : ndarray, (H, W)
        Pixel values in any real type and unit.

    Returns
    -------
    bool
    """
    return any(np.any((np.abs(row) < _LARGEST) & (row != 0)) for row in image)


def cleaned(image):
    """
    An image with 0 where its pixels are no data.

    They are not where they are not finite, or larger than any measurement: above 1e20, and
    1e15 times the median pixel. One such pixel would be felt wherever the network sees it.

    Parameters
    ----------
    image : ndarray, (H, W)
        Pixel values in any real type and linear unit.

    Returns
    -------
    ndarray, float32, (H, W)
        The image itself where it is of that type and needs no cleaning.
    """
    # Beyond the range of single precision a value is infinite.
    with np.errstate(over="ignore"):
        image = image.astype(np.float32, copy=False)
    finite = np.isfinite(image)
    if not finite.all():
        image = np.where(finite, image, np.float32(0))
    if max(image.max(), -image.min()) > 1e20:
        size = np.abs(image)
        data = size[(size > 0) & (size < _LARGEST)]
        most = max(1e20, 1e15 * float(np.median(data))) if data.size else 0
        image = np.where(size < min(most, _LARGEST), image, np.float32(0))
    return image
