"""What a network says of images, for another one to learn (Hinton, Vinyals & Dean 2015).

``python -m training.teach IMAGES SCENES`` reads the scenes (``.npz``) and the FITS images in a
folder, and writes each to ``SCENES/NAME.npz`` with the answers of the mask network that ships, or
of another. ``training.train`` learns these in place of labels.

An image is answered as it stands, turned and flipped, and the eight answers are joined: no network
is the same from all sides, and their mean is better than each. Images need no labels for that.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits
from tqdm import tqdm

import maximask
from maxitools import networks
from maxitools.classes import NAMES
from maxitools.inputs import shipped_folder
from training.simulation.scenes import BIT

# Logits are kept in a byte: steps of an eighth, from -16 to 16.
STEP, MIDDLE = 1 / 8, 128
# Probabilities, from here to 1 less as much, that single precision tells from 0 and 1.
LEAST = np.float32(1e-7)
SUFFIXES = (".npz", ".fits", ".fits.fz", ".fits.gz")


def said(answers_of, image):
    """
    Join a network's answers to an image from eight sides.

    Parameters
    ----------
    answers_of : callable
        From an image (H, W) to probabilities, float32 (C, H, W).
    image : ndarray, (H, W)

    Returns
    -------
    ndarray, uint8, (H, W, C)
        Means of the logits, as `logits` reads them.
    """
    total = 0
    for turns in range(4):
        for step in (1, -1):
            turned = np.ascontiguousarray(np.rot90(image, turns)[::step])
            found = np.clip(answers_of(turned), LEAST, 1 - LEAST)
            # scipy's logit is slower than the network.
            found = np.log(found / (1 - found))
            total = total + np.rot90(found[:, ::step], -turns, axes=(1, 2))
    kept = np.clip(np.rint(total / (8 * STEP)) + MIDDLE, 0, 255)
    return np.moveaxis(kept.astype(np.uint8), 0, -1)


def logits(kept):
    """The logits in an array or a tensor of float that `said` gave as bytes."""
    return (kept - MIDDLE) * STEP


def images(path):
    """
    The images in a file.

    Parameters
    ----------
    path : Path
        A scene, or a FITS file.

    Yields
    ------
    name : str
    scene : dict
        Its ``image``, and the bit masks ``positive`` and ``unsure``; of a FITS image all is unsure.
    """
    name = path.name[: -len(next(s for s in SUFFIXES if path.name.endswith(s)))]
    if path.suffix == ".npz":
        with np.load(path) as scene:
            yield name, {key: scene[key] for key in ("image", "positive", "unsure")}
        return
    with fits.open(path) as hdus:
        for number, hdu in enumerate(hdus):
            if hdu.is_image and hdu.header.get("NAXIS") == 2 and hdu.data.size:
                image = np.nan_to_num(hdu.data.astype(np.float32))
                unsure = np.full(image.shape, sum(BIT.values()), np.uint16)
                positive = np.zeros_like(unsure)
                yield f"{name}_{number}", dict(image=image, positive=positive, unsure=unsure)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m training.teach", description=__doc__)
    parser.add_argument("images", type=Path, help="folder of scenes and of FITS images")
    parser.add_argument("scenes", type=Path, help="where what was said goes; made if need be")
    parser.add_argument("--net_path", help="folder of the network that teaches; default: ours")
    options = parser.parse_args(arguments)

    paths = sorted(path for path in options.images.rglob("*") if path.name.endswith(SUFFIXES))
    if not paths:
        parser.error(f"{options.images}: no scenes and no FITS images here")
    options.scenes.mkdir(parents=True, exist_ok=True)
    try:
        recipe = networks.find(options.net_path or shipped_folder() / "model", "mask").recipe
    except ValueError as error:
        sys.exit(f"teach: {error}")
    priors = np.array([recipe.training_priors[name] for name in NAMES])

    def answers_of(image):
        return maximask.probabilities(image, options.net_path)

    for path in tqdm(paths, unit="file", disable=None):
        for name, scene in images(path):
            there = options.scenes / f"{name}.npz"
            if there.exists():
                continue
            part = there.with_suffix(".part")
            with open(part, "wb") as file:
                np.savez(file, **scene, said=said(answers_of, scene["image"]), priors=priors)
            os.replace(part, there)


if __name__ == "__main__":
    main()
