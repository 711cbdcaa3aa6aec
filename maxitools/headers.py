"""Headers of masks: what the image's header tells, and how the mask was made."""

import copy
import re
import time

import numpy as np
from astropy.io import fits

from maxitools.classes import BY_NAME
from maxitools.wcs import add_axes

# Cards that describe how the input's pixels are stored, or what they mean.
_OF_PIXELS = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|BSCALE|BZERO|BLANK|BUNIT"
    r"|DATAMIN|DATAMAX|CHECKSUM|DATASUM|ZHECKSUM|ZDATASUM|NEXTEND|END"
)


def mask_header(header, shape, dtype, primary, cards):
    """
    Header of a mask HDU.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image. Its cards are carried over, the WCS among them, but for those
        that describe how pixels are stored.
    shape : tuple of int
        Shape of the mask.
    dtype : dtype
        Type of the mask.
    primary : bool
        Whether the HDU comes first in its file.
    cards : list of tuple
        Keyword, value and comment of cards to add at the end.

    Returns
    -------
    astropy.io.fits.Header
    """
    mask = fits.Header()
    if primary:
        mask["SIMPLE"] = (True, "conforms to FITS standard")
    else:
        mask["XTENSION"] = ("IMAGE", "Image extension")
    dtype = np.dtype(dtype)
    bits = 8 * dtype.itemsize
    mask["BITPIX"] = (-bits if dtype.kind == "f" else bits, "array data type")
    mask["NAXIS"] = (len(shape), "number of array dimensions")
    for i, size in enumerate(reversed(shape), 1):
        mask[f"NAXIS{i}"] = size
    if primary:
        mask["EXTEND"] = True
    else:
        mask["PCOUNT"] = (0, "number of parameters")
        mask["GCOUNT"] = (1, "number of groups")
    carried = [copy.copy(card) for card in header.cards if not _OF_PIXELS.fullmatch(card.keyword)]
    mask.extend(carried, unique=False, update=False)
    if len(shape) > header["NAXIS"]:
        add_axes(mask, len(shape))
    for keyword, value, comment in cards:
        mask.remove(keyword, ignore_missing=True, remove_all=True)
        mask.append((keyword, value, comment), end=True)
    return mask


def class_cards(task, device, version):
    """
    Cards that tell how a mask was made.

    Parameters
    ----------
    task : maxitools.tasks.Task
        What was asked for.
    device : {"CPU", "GPU"}
        What the network ran on.
    version : str
        What ran it: "TensorFlow" or "LiteRT", and the version.

    Returns
    -------
    list of tuple
        Keyword, value, comment.
    """
    now = time.time()
    cards = [
        ("MM_UTC", time.asctime(time.gmtime(now)), "MaxiMask processing date, UTC"),
        ("MM_LOC", time.asctime(time.localtime(now)), "MaxiMask processing date, local"),
        ("MM_TF_V", version.removeprefix("TensorFlow "), "version of TensorFlow, or of LiteRT"),
        ("MM_HBACK", device, "hardware that ran the network"),
    ]
    if task.priors is None:
        cards.append(("PRIOR", "probabilities not adapted to new priors", ""))
    if task.thresholds is None:
        cards.append(("THRESH", "probabilities not thresholded", ""))
    if task.growth:
        cards.append(("MM_GROW", task.growth, "[pix] classes were grown by so much"))
    for i, name in enumerate(task.classes):
        title = BY_NAME[name].title
        if task.codes is None:
            key = f"M{i}"
            cards.append((key, f"{name}: {title}", f"plane {i}, the first being 0"))
        else:
            key = name
            cards.append((key, task.codes[name], f"{title} mask value"))
        if task.priors is not None:
            cards.append((f"{key}_PR", task.priors[name], f"{name} prior"))
        if task.thresholds is not None:
            cards.append((f"{key}_TH", task.thresholds[name], f"{name} threshold"))
        if task.has_bits and task.codes[name]:
            cards.append((f"MP_{name}", task.codes[name].bit_length() - 1, f"bit of {title}"))
    return cards
