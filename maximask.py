#!/usr/bin/env python3
"""
Find the contaminated pixels of astronomical images.

As a command, `maximask IMAGE` writes masks beside each image. As a module, `mask`, `flags` and
`probabilities` do the same to arrays and to `astropy.nddata`, whose bit masks `FLAGS` is for, and
`draw` shows what was found.
"""

import maxitools.interrupts  # noqa: F401  # isort: skip

import argparse
import sys
from pathlib import Path

from maxitools import naming, options, process
from maxitools.classes import NAMES, ClassFileError, chosen_values, selection
from maxitools.inputs import InputError, list_inputs, shipped_folder
from maxitools.messages import refuse
from maxitools.naming import DEFAULT, MaskNames

# Imports that take time wait until the arguments are known to be good.


def mask(image, net_path=None, batch_size=8, threads=None, device="auto", **choices):
    """
    Masks of an image, as the command makes them.

    Parameters
    ----------
    image : array-like or astropy.nddata.NDData, (H, W)
        Pixel values in any real type and linear unit; what is not finite counts as 0.
    net_path : path-like, optional
        Directory of a network; the shipped one when not given.
    batch_size : int
        Tiles per network call.
    threads : int, optional
        CPU threads; all cores when not given. With TensorFlow the first call in a process
        decides.
    device : {"auto", "cpu", "gpu"}
        Where the network runs: on a GPU where there is one, or as told.
    classes : str or sequence of str, optional
        Classes that are wanted, as `"CR,TRL"` or `"all,-BG"`; all when not given.
    config_dir : path-like, optional
        Folder of class files. None are read when it is not given.
    priors, thresholds : dict, optional
        By class name: those that differ from the network's, and from those of class files.
    prior_modif : bool
        Whether to adapt the probabilities to the priors. True when not given.
    grow : int
        Pixels by which every class but the background is grown, in rows and columns.

    Returns
    -------
    ndarray, uint8, (C, H, W)
        1 where a pixel belongs to the class, in the order of the classes. Of `NDData`, as
        `CCDData`, a copy, in whose `mask` are the pixels that the image's mask has and those in
        any chosen class but the background, and in whose `flags` is what `flags` gives.

    Raises
    ------
    ValueError
        When the network cannot be used, or does not know a class.
    """
    from maxitools import arrays

    if arrays.is_nddata(image):
        return arrays.flagged(image, flags(image, net_path, batch_size, threads, device, **choices))
    return arrays.masks(image, net_path, batch_size, threads, device, choices)


def flags(
    image, net_path=None, batch_size=8, threads=None, device="auto", flag_value=None, **choices
):
    """
    One map of an image, as `--single_mask` or `--flag_value` make it.

    Parameters
    ----------
    image, net_path, batch_size, threads, device, **choices
        As for `mask`.
    flag_value : int, optional
        Value of a pixel in any class but the background; the sum of the codes of its classes
        when not given, as `FLAGS` reads them.

    Returns
    -------
    ndarray, (H, W)
        Of the smallest type that holds the values; int16 of codes.
    """
    from maxitools import arrays

    choices = {**choices, "single_mask": flag_value is None, "flag_value": flag_value}
    return arrays.masks(image, net_path, batch_size, threads, device, choices)


def probabilities(
    image, net_path=None, batch_size=8, threads=None, device="auto", prior_modif=False, **choices
):
    """
    Probabilities of an image's pixels, at the priors of the network's training.

    Parameters
    ----------
    image, net_path, batch_size, threads, device, **choices
        As for `mask`.
    prior_modif : bool
        Whether to adapt them to other priors, as the command does.

    Returns
    -------
    ndarray, float32, (C, H, W)
        In the order of the classes.
    """
    from maxitools import arrays

    choices = {**choices, "prior_modif": prior_modif, "proba_thresh": False}
    return arrays.masks(image, net_path, batch_size, threads, device, choices)


def __getattr__(name):
    """`FLAGS`: the names of the bits of a single mask, for `astropy.nddata.bitmask`."""
    if name != "FLAGS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from maxitools import arrays

    return arrays.FLAGS


def draw(image, masks=None, classes=NAMES, header=None, name=""):
    """
    Outlines of masks over an image in grey, as `--preview` draws them.

    Parameters
    ----------
    image : array-like or astropy.nddata.NDData, (H, W)
        Pixel values in any real type and unit.
    masks : ndarray, (C, H, W) or (H, W), optional
        Not 0 where a pixel belongs to the class, as from `mask`; or one map, as from `flags`. The
        flags of `NDData` when not given.
    classes : sequence of str
        Names of the masks' classes.
    header : astropy.io.fits.Header, optional
        Of the image, to tell of date, filter and exposure time; that of `NDData` when not given.
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
    ValueError
        When there are no masks.
    """
    from maxitools import arrays

    return arrays.picture(image, masks, classes, header, name)


def _boolean(text):
    if text.lower() in ("yes", "true", "t", "y", "1"):
        return True
    if text.lower() in ("no", "false", "f", "n", "0"):
        return False
    raise argparse.ArgumentTypeError(f"expected yes or no, found '{text}'")


def _parser():
    parser = argparse.ArgumentParser(
        prog="maximask",
        description="Find the contaminated pixels of astronomical images.",
        epilog="BOOL is yes/no, true/false, t/f, y/n or 1/0.",
        parents=[options.shared()],
    )
    choice = parser.add_argument_group("what is masked")
    choice.add_argument(
        "--classes",
        type=options.told(selection),
        metavar="NAMES",
        help="classes, as CR,TRL or all,-BG (default: those of classes.flags)",
    )
    choice.add_argument(
        "--config_dir",
        metavar="DIR",
        help="folder of classes.flags, .priors and .thresh (default: the working directory)",
    )
    choice.add_argument(
        "--prior_modif",
        type=_boolean,
        default=True,
        metavar="BOOL",
        help="adapt probabilities to the priors of classes.priors (default: True)",
    )
    choice.add_argument(
        "--proba_thresh",
        type=_boolean,
        default=True,
        metavar="BOOL",
        help="threshold probabilities at those of classes.thresh (default: True)",
    )
    choice.add_argument(
        "--grow",
        type=options.whole,
        default=0,
        metavar="N",
        help="grow every class but BG by N pixels, in rows and columns (default: 0)",
    )
    files = parser.add_argument_group("files of masks")
    files.add_argument(
        "--single_mask",
        type=_boolean,
        default=False,
        metavar="BOOL",
        help="one map, classes joined by powers of two (default: False)",
    )
    files.add_argument(
        "--flag_value",
        type=options.positive,
        metavar="V",
        help="one map, V where a pixel is in any chosen class but BG",
    )
    files.add_argument(
        "--out_dir",
        metavar="DIR",
        help="folder for the masks, made if missing (default: beside each image)",
    )
    files.add_argument(
        "--suffix",
        type=options.told(naming.suffix),
        default=(DEFAULT.suffix, None),
        metavar="TEXT",
        help="what follows an image's name in that of its masks; .masks.fits.gz zips them "
        "(default: .masks)",
    )
    files.add_argument(
        "--compress",
        action="store_true",
        help="compress the masks tile by tile, into .masks.fits.fz",
    )
    files.add_argument(
        "--skip_existing",
        action="store_true",
        help="leave images alone whose masks are there, whole and newer",
    )
    files.add_argument(
        "--preview",
        action="store_true",
        help="draw a picture beside the masks: the image, with outlines of what was found",
    )
    return parser


def _check(parser, arguments):
    """End with a usage error where arguments contradict each other."""
    maps = {
        "--single_mask": arguments.single_mask,
        "--flag_value": arguments.flag_value,
        "--grow": arguments.grow,
        "--preview": arguments.preview,
    }
    for name in (name for name, given in maps.items() if given and not arguments.proba_thresh):
        parser.error(f"{name} needs thresholded maps: it contradicts --proba_thresh False")
    if arguments.single_mask and arguments.flag_value:
        parser.error("--flag_value has one value for all classes: it contradicts --single_mask")
    if arguments.compress and arguments.suffix[1] not in (None, ".fits.fz"):
        parser.error(f"--compress makes .fits.fz: it contradicts --suffix {arguments.suffix[1]}")
    if arguments.config_dir and not Path(arguments.config_dir).is_dir():
        parser.error(f"argument --config_dir: {arguments.config_dir}: no such folder")


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
        with 2, and signals with 128 and their number.
    """
    return process.run("maximask", _main, argv)


def _main(argv):
    parser = _parser()
    arguments = parser.parse_args(argv)
    _check(parser, arguments)
    suffix, ending = arguments.suffix
    ending = ending or (".fits.fz" if arguments.compress else ".fits")
    names = MaskNames(suffix, arguments.out_dir, ending)
    try:
        inputs = list_inputs(arguments.im_path, names)
        folder = Path(arguments.config_dir or ".")
        wanted, priors, thresholds = chosen_values(folder, shipped_folder())
        if arguments.out_dir:
            Path(arguments.out_dir).mkdir(parents=True, exist_ok=True)
        log = options.open_log(arguments, "maximask")
    except (InputError, ClassFileError) as error:
        refuse("maximask", error)
    except OSError as error:
        refuse("maximask", f"{error.filename}: cannot be made ({error.strerror})")
    options.prepare(arguments.threads)

    from maxitools import networks, runs
    from maxitools.outputs import masks_there, with_room
    from maxitools.tasks import TaskError, task_for

    if arguments.skip_existing:
        there = masks_there(names)
        inputs = runs.left_to_do(inputs, there, log, arguments.verbose)
    if not inputs:
        return 0
    inputs = with_room(inputs, names)
    previews = _previews() if arguments.preview else None
    try:
        network = networks.find(arguments.net_path or shipped_folder() / "model", "mask")
        task = task_for(
            network.recipe,
            arguments.classes or wanted,
            priors,
            thresholds,
            arguments.prior_modif,
            arguments.proba_thresh,
            arguments.grow,
            arguments.single_mask,
            arguments.flag_value,
        )
        runs.load(network, arguments)
    except (networks.NetworkError, TaskError) as error:
        refuse("maximask", error)
    return runs.run(
        "maximask",
        inputs,
        network.recipe.normalise,
        task.strips(network, arguments.batch_size),
        _outputs(task, network, names, log, previews),
        glance=previews and previews.glance,
        log=log,
        verbose=arguments.verbose,
    )


def _previews():
    """The module that draws, which takes what not every user has installed."""
    try:
        from maxitools import previews
    except ImportError as error:
        refuse("maximask", error)
    return previews


def _outputs(task, network, names, log, previews):
    """From an input to what becomes of it."""
    from maxitools.maskfile import OutputError
    from maxitools.outputs import Claim, Masks, Shares

    made = {}

    def outputs(source):
        if source.error:
            raise InputError(source.error)
        path = names.path(source)
        other = made.get(path.resolve(), source)
        if other.path.resolve() != source.path.resolve():
            raise OutputError(f"its masks would replace those of {other.given}")
        outputs = [Claim(made, path.resolve(), source), Masks(path, task, network)]
        if log and task.thresholds is not None:
            outputs.append(Shares(task.classes))
        if previews:
            # It ends after the masks, being the first to begin.
            name = Path(source.given).name
            picture = previews.Preview(names.picture(source), name, task.classes)
            outputs.insert(0, picture)
        return outputs

    return outputs


if __name__ == "__main__":
    sys.exit(main())
