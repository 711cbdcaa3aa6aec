"""What the commands do to files, done to arrays and to the data of `astropy.nddata`."""

import copy
from collections import Counter

import numpy as np
from astropy.io import fits
from astropy.nddata import NDData
from astropy.nddata.bitmask import extend_bit_flag_map

from maxitools import networks
from maxitools.classes import CLASSES, chosen_values, selection
from maxitools.inference import track_answers
from maxitools.inputs import shipped_folder
from maxitools.pixels import has_data
from maxitools.tasks import task_for

# Bits of single masks, for `astropy.nddata.bitmask`.
FLAGS = extend_bit_flag_map("MaxiMaskFlags", **{c.name: c.code for c in CLASSES if c.code})


def is_nddata(image):
    """Whether an image comes with a mask, a unit and a header of its own."""
    return isinstance(image, NDData)


def probability(image, net_path, prior, batch_size, threads, device):
    """As `maxitrack.probability`."""
    image = _pixels(image)
    network = networks.loaded(net_path or shipped_folder() / "model", "track", threads, device)
    images = [(None, network.recipe.normalise(image), image.shape, Counter())]
    ((_, _, answers),) = track_answers(images, network.recipe, network.tracks(), batch_size)
    if isinstance(answers, Exception):
        raise answers
    return network.combine([answers], prior)


def _pixels(image):
    pixels = np.asarray(image.data if is_nddata(image) else image)
    if pixels.ndim != 2 or 0 in pixels.shape:
        raise ValueError(f"expected an image of two axes, found the shape {pixels.shape}")
    return pixels


def masks(image, net_path, batch_size, threads, device, choices):
    """
    Masks, or probabilities, of an image.

    Parameters
    ----------
    image, net_path, batch_size, threads, device
        As for `maximask.mask`.
    choices : dict
        Arguments of `maxitools.tasks.task_for`; `classes` may be a text, and `config_dir`
        names a folder of class files.

    Returns
    -------
    ndarray
        Of the task's shape and type.
    """
    image = _pixels(image)
    network = networks.loaded(net_path or shipped_folder() / "model", "mask", threads, device)
    task = _task(network.recipe, **choices)
    found = np.zeros(task.shape(image.shape), task.dtype)
    if has_data(image):
        images = [(None, network.recipe.normalise(image), image.shape, Counter())]
        for _, rows, strip in task.strips(network, batch_size)(images):
            if isinstance(strip, Exception):
                raise strip
            found[..., rows, :] = task.shaped(strip)
    return found


def _task(recipe, classes=None, config_dir=None, priors=None, thresholds=None, **choices):
    wanted, *values = None, None, None
    if config_dir is not None:
        wanted, *values = chosen_values(config_dir, shipped_folder())
    if classes is not None:
        wanted = selection(classes if isinstance(classes, str) else ",".join(classes))
    values = [
        {**(of_files or {}), **(given or {})}
        for of_files, given in zip(values, (priors, thresholds), strict=True)
    ]
    return task_for(recipe, wanted, *values, **choices)


def flagged(image, flags):
    """
    A copy of an image that carries flags.

    Parameters
    ----------
    image : astropy.nddata.NDData
    flags : ndarray
        As from `maximask.flags`.

    Returns
    -------
    astropy.nddata.NDData
        Of the same class, with all that the image has; in its mask are the pixels that the
        image's mask has, and those with flags.
    """
    image = copy.deepcopy(image)
    found = flags != 0
    image.mask = found if image.mask is None else found | np.asarray(image.mask, bool)
    image.flags = flags
    return image


def picture(image, masks, classes, header, name):
    """As `maximask.draw`."""
    from maxitools.pictures import Detector, Picture

    if is_nddata(image):
        masks = image.flags if masks is None else masks
        header = image.meta if header is None else header
    if masks is None:
        raise ValueError("there are no masks to draw: give what `maximask.mask` gives")
    masks = np.asarray(masks)
    if masks.ndim == 2:
        classes = [known.name for known in CLASSES if known.code]
        masks = np.stack([masks & FLAGS[name] for name in classes])
    detector = Detector(_pixels(image), *([header] if isinstance(header, fits.Header) else []))
    detector.add_rows(0, masks, classes)
    picture = Picture(name)
    picture.add(detector)
    return picture.draw()
