#!/usr/bin/env python3
"""
Find exposures that were taken while the telescope lost track of its target.

As a command, `maxitrack IMAGE` appends a probability to `maxitrack.out`. As a module,
`probability` gives that of an array.
"""

import maxitools.interrupts  # noqa: F401  # isort: skip

import argparse
import sys

from maxitools import options, process
from maxitools.atomic import check_growth
from maxitools.inputs import InputError, list_inputs, shipped_folder
from maxitools.messages import refuse

# Imports that take time wait until the arguments are known to be good.


def probability(image, net_path=None, prior=0.05, batch_size=8, threads=None, device="auto"):
    """
    Probability that an image was taken with a tracking error.

    Parameters
    ----------
    image : array-like or astropy.nddata.NDData, (H, W)
        Pixel values in any real type and linear unit; what is not finite counts as 0.
    net_path : path-like, optional
        Directory of a network; the shipped one when not given.
    prior : float
        Expected share of exposures with a tracking error, between 0 and 1: lower it
        where a false alarm costs more.
    batch_size : int
        Tiles per network call.
    threads : int, optional
        CPU threads; all cores when not given. With TensorFlow the first call in a process
        decides.
    device : {"auto", "cpu", "gpu"}
        Where the network runs: on a GPU where there is one, or as told.

    Returns
    -------
    float

    Raises
    ------
    maxitools.networks.NetworkError
        When the network cannot be used.
    """
    from maxitools import arrays

    return arrays.probability(image, net_path, prior, batch_size, threads, device)


def _prior(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and below 1, found '{text}'")
    return value


def _frac(text):
    """A number of HDUs, int, or a share of them, float, where there is a decimal point."""
    try:
        value = float(text) if "." in text else int(text)
    except ValueError:
        value = 0
    good = 0 < value <= 1 if isinstance(value, float) else value == -1 or value > 0
    if not good:
        raise argparse.ArgumentTypeError(
            f"expected -1, a number above 0, or a share as 0.5, found '{text}'"
        )
    return value


def _parser():
    parser = argparse.ArgumentParser(
        prog="maxitrack",
        description="Find exposures that were taken while the telescope lost track of its target.",
        parents=[options.shared()],
    )
    tracking = parser.add_argument_group("tracking")
    tracking.add_argument(
        "--prior_value",
        "--prior",
        type=_prior,
        default=0.05,
        metavar="P",
        help="expected share of exposures with a tracking error (default: 0.05)",
    )
    tracking.add_argument(
        "--frac",
        type=_frac,
        default=-1,
        metavar="N",
        help="image HDUs to use, drawn at random: how many, or which share, with a decimal "
        "point, as 0.5 or 1.0 (default: -1, all)",
    )
    tracking.add_argument(
        "--output",
        default="maxitrack.out",
        metavar="FILE",
        help="file that a line is appended to for each image (default: maxitrack.out)",
    )
    tracking.add_argument(
        "--skip_existing",
        action="store_true",
        help="leave images alone that have a probability in the output",
    )
    return parser


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
    return process.run("maxitrack", _main, argv)


def _main(argv):
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        inputs = list_inputs(arguments.im_path)
        log = options.open_log(arguments, "maxitrack")
    except InputError as error:
        refuse("maxitrack", error)
    except OSError as error:
        refuse("maxitrack", f"{error.filename}: cannot be made ({error.strerror})")
    options.prepare(arguments.threads)

    from maxitools import networks, runs
    from maxitools.inference import track_answers
    from maxitools.outputs import Verdict, verdicts_there

    try:
        check_growth(arguments.output)
        if arguments.skip_existing:
            there = verdicts_there(arguments.output)
            inputs = runs.left_to_do(inputs, there, log, arguments.verbose)
    except OSError as error:
        refuse("maxitrack", error)
    if not inputs:
        return 0
    try:
        network = networks.find(arguments.net_path or shipped_folder() / "model", "track")
        runs.load(network, arguments)
    except networks.NetworkError as error:
        refuse("maxitrack", error)
    answer = network.tracks()

    def combine(answers):
        return network.combine(answers, arguments.prior_value)

    return runs.run(
        "maxitrack",
        inputs,
        network.recipe.normalise,
        lambda images: track_answers(images, network.recipe, answer, arguments.batch_size),
        lambda source: [Verdict(arguments.output, source, combine, arguments.verbose)],
        most=arguments.frac,
        log=log,
        verbose=arguments.verbose,
    )


if __name__ == "__main__":
    sys.exit(main())
