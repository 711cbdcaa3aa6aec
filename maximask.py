#!/usr/bin/env python3
"""
Find the contaminated pixels of astronomical images.

As a command, `maximask IMAGE` writes masks beside each image. As a module, `mask` and
`probabilities` do the same to arrays, and `draw` shows what was found.
"""

import argparse
import sys
from collections import namedtuple
from pathlib import Path

from maxitools import naming, options
from maxitools.classes import NAMES, ClassFileError, chosen_values
from maxitools.inputs import InputError, list_inputs, shipped_folder
from maxitools.naming import DEFAULT, MaskNames

# Imports that take time wait until the arguments are known to be good.


def probabilities(image, net_path=None, batch_size=8, threads=None):
    """
    Raw probabilities of an image's pixels, at the priors of the network's training.

    Parameters
    ----------
    image : ndarray, (H, W)
        Pixel values in any real type and linear unit; what is not finite counts as 0.
    net_path : path-like, optional
        Directory of a network; the shipped one when not given.
    batch_size : int
        Tiles per network call.
    threads : int, optional
        CPU threads; all cores when not given. The first call in a process decides.

    Returns
    -------
    ndarray, float32, (C, H, W)
        Of the network's classes, in their order.

    Raises
    ------
    maxitools.networks.NetworkError
        When the network cannot be used.
    """
    return _planes(image, _network(net_path, threads), None, None, batch_size)


def mask(image, net_path=None, batch_size=8, threads=None):
    """
    Masks of an image, as the command makes them at its defaults.

    Parameters
    ----------
    image, net_path, batch_size, threads
        As for `probabilities`.

    Returns
    -------
    ndarray, uint8, (C, H, W)
        1 where a pixel belongs to the class, for the network's classes in their order.
    """
    network = _network(net_path, threads)
    recipe = network.recipe
    return _planes(image, network, recipe.default_priors, recipe.thresholds, batch_size)


def draw(image, masks, classes=NAMES, header=None, name=""):
    """
    Outlines of masks over an image in grey, as `--preview` draws them.

    Parameters
    ----------
    image : ndarray, (H, W)
        Pixel values in any real type and unit.
    masks : ndarray, (C, H, W)
        Not 0 where a pixel belongs to the class, as from `mask`.
    classes : sequence of str
        Names of the masks' classes.
    header : astropy.io.fits.Header, optional
        Of the image, to tell of date, filter and exposure time.
    name : str
        What to call the image.

    Returns
    -------
    PIL.Image.Image
        Its `save` writes a file.

    Raises
    ------
    ImportError
        When Pillow is not installed.
    """
    import numpy as np

    from maxitools.pictures import Detector, Picture

    detector = Detector(np.asarray(image), *([] if header is None else [header]))
    detector.add_rows(0, np.asarray(masks), classes)
    picture = Picture(name)
    picture.add(detector)
    return picture.draw()


def _planes(image, network, priors, thresholds, batch_size):
    import numpy as np

    from maxitools.inference import mask_strips
    from maxitools.pixels import has_data

    image = np.asarray(image)
    classes = network.recipe.classes
    dtype = np.float32 if thresholds is None else np.uint8
    planes = np.zeros((len(classes), *image.shape), dtype)
    if has_data(image):
        answer = network.masks(classes, priors, thresholds)
        rows_of = network.recipe.normalise(image)
        images = [(None, rows_of, image.shape)]
        for _, rows, strip in mask_strips(images, network.recipe, answer, batch_size):
            if isinstance(strip, Exception):
                raise strip
            planes[:, rows] = strip
    return planes


def _network(net_path, threads):
    from maxitools import networks

    return networks.loaded(net_path or shipped_folder() / "model", "mask", threads)


def _boolean(text):
    if text.lower() in ("yes", "true", "t", "y", "1"):
        return True
    if text.lower() in ("no", "false", "f", "n", "0"):
        return False
    raise argparse.ArgumentTypeError(f"expected yes or no, found '{text}'")


def _suffix(text):
    try:
        return naming.suffix(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser():
    parser = argparse.ArgumentParser(
        prog="maximask",
        description="Find the contaminated pixels of astronomical images.",
        parents=[options.shared()],
    )
    parser.add_argument(
        "--prior_modif",
        type=_boolean,
        default=True,
        metavar="BOOL",
        help="adapt probabilities to the priors of classes.priors (default: True)",
    )
    parser.add_argument(
        "--proba_thresh",
        type=_boolean,
        default=True,
        metavar="BOOL",
        help="threshold probabilities at those of classes.thresh (default: True)",
    )
    parser.add_argument(
        "--single_mask",
        type=_boolean,
        default=False,
        metavar="BOOL",
        help="one map, classes joined by powers of two (default: False)",
    )
    parser.add_argument(
        "--out_dir",
        metavar="DIR",
        help="folder for the masks, made if missing (default: beside each image)",
    )
    parser.add_argument(
        "--suffix",
        type=_suffix,
        default=DEFAULT.suffix,
        metavar="TEXT",
        help="what follows an image's name in that of its masks (default: .masks)",
    )
    parser.add_argument(
        "--skip_existing",
        action="store_true",
        help="leave images alone whose masks are there, whole and newer",
    )
    parser.add_argument(
        "--preview",
        action="store_true",
        help="draw a picture beside the masks: the image, with outlines of what was found",
    )
    return parser


# What to do to the images: classes by name, priors and thresholds by class or None.
Task = namedtuple("Task", "classes priors thresholds single")


def main(argv=None):
    """
    Run the command.

    Parameters
    ----------
    argv : list of str, optional
        Arguments; those of the process when not given.

    Returns
    -------
    int
        Exit status: 0 when all went well, 1 when some input failed. Usage errors exit
        with 2.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.single_mask and not arguments.proba_thresh:
        parser.error("--single_mask joins thresholded maps: it contradicts --proba_thresh False")
    if arguments.preview and not arguments.proba_thresh:
        parser.error("--preview outlines thresholded maps: it contradicts --proba_thresh False")
    names = MaskNames(arguments.suffix, arguments.out_dir)
    try:
        inputs = list_inputs(arguments.im_path, names)
        chosen = chosen_values(Path.cwd(), shipped_folder())
        if arguments.out_dir:
            Path(arguments.out_dir).mkdir(parents=True, exist_ok=True)
        log = options.open_log(arguments, "maximask")
    except (InputError, ClassFileError) as error:
        parser.exit(2, f"maximask: {error}\n")
    except OSError as error:
        parser.exit(2, f"maximask: {error.filename}: cannot be made ({error.strerror})\n")
    options.prepare(arguments.threads)

    from maxitools import networks, runs
    from maxitools.inference import mask_strips
    from maxitools.outputs import masks_there

    if arguments.skip_existing:
        there = masks_there(names)
        inputs = runs.left_to_do(inputs, there, log, arguments.verbose)
    if not inputs:
        return 0
    previews = _previews(parser) if arguments.preview else None
    try:
        network = networks.find(arguments.net_path or shipped_folder() / "model", "mask")
        task = _task(network.recipe, chosen, arguments)
        runs.load(network, arguments)
    except networks.NetworkError as error:
        parser.exit(2, f"maximask: {error}\n")
    answer = network.masks(task.classes, task.priors, task.thresholds)
    return runs.run(
        "maximask",
        inputs,
        network.recipe.normalise,
        lambda images: mask_strips(images, network.recipe, answer, arguments.batch_size),
        _outputs(task, network, names, log, previews),
        glance=previews and previews.glance,
        log=log,
        verbose=arguments.verbose,
    )


def _task(recipe, chosen, arguments):
    """What the class files choose and the arguments ask for, with the network's defaults."""
    from maxitools.networks import NetworkError

    flags, priors, thresholds = chosen
    wanted = [name for name in NAMES if flags is None or flags[name]]
    unknown = [name for name in wanted if name not in recipe.classes]
    if unknown and flags is not None:
        raise NetworkError(f"the network does not know the class {unknown[0]} of classes.flags")
    classes = [name for name in wanted if name in recipe.classes]
    if not classes:
        raise NetworkError("classes.flags selects no class")
    priors = {**recipe.default_priors, **(priors or {})} if arguments.prior_modif else None
    thresholds = {**recipe.thresholds, **(thresholds or {})} if arguments.proba_thresh else None
    return Task(classes, priors, thresholds, arguments.single_mask)


def _previews(parser):
    """The module that draws, which takes what not every user has installed."""
    try:
        from maxitools import previews
    except ImportError as error:
        parser.exit(2, f"maximask: {error}\n")
    return previews


def _outputs(task, network, names, log, previews):
    """From an input to what becomes of it."""
    from maxitools.maskfile import OutputError
    from maxitools.outputs import Masks, Shares

    taken = {}

    def outputs(source):
        path = names.path(source)
        other = taken.setdefault(path.resolve(), source)
        if other.path.resolve() != source.path.resolve():
            raise OutputError(f"its masks would replace those of {other.given}")
        outputs = [Masks(path, task, network)]
        if log and task.thresholds is not None:
            outputs.append(Shares(task.classes))
        if previews:
            # It ends after the masks, being the first to begin.
            picture = previews.Preview(path.with_suffix(".png"), source.given, task.classes)
            outputs.insert(0, picture)
        return outputs

    return outputs


if __name__ == "__main__":
    sys.exit(main())
