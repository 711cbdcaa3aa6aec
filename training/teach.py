"""What a network says of images, for another one to learn (Hinton, Vinyals & Dean 2015).

``python -m training.teach IMAGES SCENES`` reads the scenes (``.npz``) in a folder, and for masks
the FITS images, too. Each is written to ``SCENES/NAME.npz`` with the answers of the network that
ships, or of another. ``training.train`` learns these beside the labels, and alone where labels are
unsure: FITS images need none.

An image is answered as it stands, turned and flipped, and the eight answers are joined: no network
is the same from all sides, and their mean is better than each.
"""

import argparse
import sys
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from astropy.io import fits
from tqdm import tqdm

import maximask
import maxitrack
from maxitools import networks
from maxitools.classes import NAMES
from maxitools.inputs import shipped_folder
from training.masking import kept
from training.simulate import NAMES as PARTS
from training.simulate import save_scene
from training.simulation.scenes import BIT

# Probabilities, from here to 1 less as much, that single precision tells from 0 and 1.
LEAST = np.float32(1e-7)
SUFFIXES = (".npz", ".fits", ".fits.fz", ".fits.gz")


def sides(image):
    """
    An image (H, W) from its eight sides.

    Yields
    ------
    turned : ndarray
    back : callable
        Turns answers to it, (..., H, W), back to how the image stands.
    """
    for turns, step in product(range(4), (1, -1)):
        turned = np.ascontiguousarray(np.rot90(image, turns)[::step])
        yield turned, lambda a, n=-turns, s=step: np.rot90(a[..., ::s, :], n, axes=(-2, -1))


def log_odds(probabilities):
    """Log-odds; scipy's `logit` is slower than the network."""
    probabilities = np.clip(probabilities, LEAST, 1 - LEAST)
    return np.log(probabilities / (1 - probabilities))


def said(answers_of, image):
    """
    Join a mask network's answers to an image from eight sides.

    Parameters
    ----------
    answers_of : callable
        From an image (H, W) to probabilities, float32 (C, H, W).
    image : ndarray, (H, W)

    Returns
    -------
    ndarray, uint8, (H, W, C)
        Means of the logits, as `training.masking.spoken` reads them.
    """
    total = sum(back(log_odds(answers_of(turned))) for turned, back in sides(image))
    return np.moveaxis(kept(total / 8), 0, -1)


def judged(probability_of, image):
    """
    Join a tracking network's answers to an exposure from eight sides.

    Parameters
    ----------
    probability_of : callable
        From an image (H, W) to a probability.
    image : ndarray, (H, W)

    Returns
    -------
    float
        Mean of the log-odds.
    """
    return float(np.mean([log_odds(probability_of(turned)) for turned, _ in sides(image)]))


def images(path, task):
    """
    The images in a file.

    Parameters
    ----------
    path : Path
        A scene of the task, or a FITS file.
    task : {"mask", "track"}

    Yields
    ------
    name : str
    read : callable
        To its ``image``, and what else `training.simulate` writes; in a FITS image all is unsure.

    Raises
    ------
    ValueError
        If a scene is not of the task.
    """
    name = path.name[: -len(next(s for s in SUFFIXES if path.name.endswith(s)))]
    if path.suffix == ".npz":
        with np.load(path) as scene:
            if not set(PARTS[task][:2]) <= set(scene):
                raise ValueError(f"not a scene of the task '{task}'")
            yield name, lambda: {key: scene[key] for key in PARTS[task] if key in scene}
        return
    with fits.open(path) as hdus:
        for number, hdu in enumerate(hdus):
            if hdu.is_image and len(hdu.shape) == 2 and all(hdu.shape):
                yield f"{name}_{number}", lambda hdu=hdu: unmarked(hdu.data)


def unmarked(pixels):
    """Scene from the pixels of a FITS image, where all is unsure."""
    image = np.nan_to_num(pixels.astype(np.float32))
    positive = np.zeros(image.shape, np.uint16)
    unsure = np.full_like(positive, sum(BIT.values()))
    return {"image": image, "positive": positive, "unsure": unsure}


def teacher(task, net_path, labels=()):
    """
    What a network makes of a scene.

    Parameters
    ----------
    task : {"mask", "track"}
    net_path : path-like
        Its folder.
    labels : sequence of str, optional
        Classes of which it says what labels say, where they are sure.

    Returns
    -------
    callable
        From a scene to the same with answers: ``said``, and of masks the ``priors`` that they take
        for granted.
    """
    if task == "track":
        # At equal priors: as the exposures are that it learnt from.
        probability_of = partial(maxitrack.probability, net_path=net_path, prior=0.5)
        return lambda scene: scene | {"said": judged(probability_of, scene["image"])}
    recipe = networks.find(net_path, task).recipe
    priors = np.array([recipe.training_priors[name] for name in NAMES])

    def answered(scene):
        answers = said(partial(maximask.probabilities, net_path=net_path), scene["image"])
        for name in labels:
            sure = scene["unsure"] & BIT[name] == 0
            truth = scene["positive"][sure] & BIT[name] > 0
            answers[sure, NAMES.index(name)] = kept(log_odds(truth))
        return scene | {"said": answers, "priors": priors}

    return answered


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m training.teach", description=__doc__)
    parser.add_argument("images", type=Path, help="folder of scenes, or of FITS images")
    parser.add_argument("scenes", type=Path, help="where what was said goes; made if need be")
    parser.add_argument("--task", choices=PARTS, default="mask", help="default: mask")
    parser.add_argument("--net_path", help="folder of the network that teaches; default: ours")
    parser.add_argument(
        "--labels",
        nargs="+",
        choices=NAMES,
        default=[],
        help="classes that the network is poor at: labels alone count, where they are sure",
    )
    options = parser.parse_args(arguments)
    if options.labels and options.task == "track":
        parser.error("--labels: exposures have no classes; leave it out with --task track")

    suffixes = SUFFIXES if options.task == "mask" else SUFFIXES[0]
    paths = sorted(path for path in options.images.rglob("*") if path.name.endswith(suffixes))
    if not paths:
        parser.error(f"{options.images}: holds nothing to answer")
    options.scenes.mkdir(parents=True, exist_ok=True)
    try:
        answered = teacher(
            options.task, options.net_path or shipped_folder() / "model", options.labels
        )
    except ValueError as error:
        sys.exit(f"teach: {error}")
    for path in tqdm(paths, unit="file", disable=None):
        try:
            for name, read in images(path, options.task):
                there = options.scenes / f"{name}.npz"
                if not there.exists():
                    save_scene(there, answered(read()))
        except (OSError, ValueError) as error:
            sys.exit(f"teach: {path}: {error}")


if __name__ == "__main__":
    main()
