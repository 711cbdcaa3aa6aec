#!/usr/bin/env python3
"""
Find exposures that were taken while the telescope lost track of its target.

As a command, `maxitrack IMAGE` appends a probability to `maxitrack.out`. As a module,
`probability` gives that of an array.
"""

import argparse
import gc
import sys
import time
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from maxitools import options
from maxitools.inputs import InputError, list_inputs, shipped_folder

# Imports that take time wait until the arguments are known to be good.

OUTPUT = "maxitrack.out"


def probability(image, net_path=None, prior=0.05, batch_size=8, threads=None):
    """
    Probability that an image was taken with a tracking error.

    Parameters
    ----------
    image : ndarray, (H, W)
        Pixel values in any real type and linear unit; what is not finite counts as 0.
    net_path : path-like, optional
        Directory of a network; the shipped one when not given.
    prior : float
        Expected share of exposures with a tracking error, between 0 and 1: lower it
        where a false alarm costs more.
    batch_size : int
        Tiles per network call.
    threads : int, optional
        CPU threads; all cores when not given. The first call in a process decides.

    Returns
    -------
    float

    Raises
    ------
    maxitools.networks.NetworkError
        When the network cannot be used.
    """
    import numpy as np

    from maxitools import networks
    from maxitools.inference import track_answers

    network = networks.loaded(net_path or shipped_folder() / "model", "track", threads)
    rows_of = network.recipe.normalise(np.asarray(image))
    answers = track_answers(rows_of, image.shape, network.recipe, network.tracks(), batch_size)
    return network.combine([answers], prior)


def _prior(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and below 1, found '{text}'")
    return value


def _parser():
    parser = argparse.ArgumentParser(
        prog="maxitrack",
        description="Find exposures that were taken while the telescope lost track of its target.",
        parents=[options.shared()],
    )
    parser.add_argument(
        "--prior_value",
        type=_prior,
        default=0.05,
        metavar="P",
        help="expected share of exposures with a tracking error (default: 0.05)",
    )
    parser.add_argument(
        "--frac",
        type=int,
        default=-1,
        metavar="N",
        help="number of image HDUs to use, drawn at random; -1 for all (default: -1)",
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
        with 2.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.frac == 0 or arguments.frac < -1:
        parser.error(f"argument --frac: expected -1 or a number above 0, found {arguments.frac}")
    try:
        inputs = list_inputs(arguments.im_path)
    except InputError as error:
        parser.exit(2, f"maxitrack: {error}\n")
    options.prepare(arguments.threads)

    from maxitools import networks

    start = time.perf_counter()
    try:
        network = networks.find(arguments.net_path or shipped_folder() / "model", "track")
        network.load(arguments.threads)
        # What is loaded stays: there is no garbage to look for in it.
        gc.freeze()
    except networks.NetworkError as error:
        parser.exit(2, f"maxitrack: {error}\n")
    if arguments.verbose:
        print(f"{network.path}: loaded in {time.perf_counter() - start:.1f} s", file=sys.stderr)
    return _run(inputs, network, arguments)


def _read(inputs, recipe, frac):
    """The number of each file with each of its images, as (HDU, shape, rows), or an error."""
    from maxitools.frames import read_images

    for number, source in enumerate(inputs):
        try:
            for hdu, image in read_images(source, frac):
                yield number, (hdu, image.shape, recipe.normalise(image))
        except InputError as error:
            yield number, error


def _run(inputs, network, arguments):
    """Process the inputs; the exit status."""
    from tqdm import tqdm

    from maxitools.pipeline import ahead

    answer, status = network.tracks(), 0
    events = ahead(_read(inputs, network.recipe, arguments.frac))
    with tqdm(total=len(inputs), unit="file", disable=None) as bar:
        for number, group in groupby(events, key=itemgetter(0)):
            source, start = inputs[number], time.perf_counter()
            try:
                value = _probability((event for _, event in group), network, answer, arguments)
            except InputError as error:
                value, status = None, 1
                tqdm.write(f"maxitrack: {source.given}: {error}", file=sys.stderr)
            # One write of one line: lines of earlier and of other runs stay whole.
            with Path(OUTPUT).open("a", encoding="utf-8") as file:
                file.write(f"{source.given} {value}\n")
            if arguments.verbose:
                seconds = time.perf_counter() - start
                tqdm.write(f"{source.given}: {value} in {seconds:.2f} s", file=sys.stderr)
            bar.update()
    return status


def _probability(events, network, answer, arguments):
    """Join the answers to the images of a file."""
    from tqdm import tqdm

    from maxitools.inference import track_answers

    answers = []
    for event in events:
        if isinstance(event, InputError):
            raise event
        hdu, shape, rows_of = event
        answers.append(track_answers(rows_of, shape, network.recipe, answer, arguments.batch_size))
        if arguments.verbose:
            each = [
                f"{network.combine([tile], arguments.prior_value):.2g}"
                for tile in answers[-1][:, None]
            ]
            tqdm.write(f"HDU {hdu}: tiles {' '.join(each)}", file=sys.stderr)
    return network.combine(answers, arguments.prior_value)


if __name__ == "__main__":
    sys.exit(main())
