"""A list of inputs through all of it: ahead, behind, failures, progress, rates, exit status."""

import gc
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby

from tqdm import tqdm

from maxitools.frames import CopiedHDU, ImageHDU, draw, read_hdus
from maxitools.pipeline import ahead


@dataclass(eq=False)
class Plane:
    """
    An image on its way to the network.

    Attributes
    ----------
    hdu : maxitools.frames.ImageHDU
        The HDU that it is from.
    index : tuple of int
        Its place in a cube; empty in a 2-D HDU.
    rows_of : callable or None
        From `recipe.normalise`: its normalised rows. None when it is all zeros.
    glance : object
        What the run's `glance` made of the image itself.
    seconds : dict
        Spent on it, by step.
    """

    hdu: ImageHDU
    index: tuple
    rows_of: object
    glance: object = None
    seconds: dict = field(default_factory=dict)


def load(network, arguments):
    """
    Load a network for a whole run.

    Parameters
    ----------
    network : maxitools.networks.Network
    arguments : argparse.Namespace
        With those of `maxitools.options.shared`.

    Raises
    ------
    maxitools.networks.NetworkError
        When it cannot be read.
    """
    start = time.perf_counter()
    network.load(arguments.threads)
    # What is loaded stays: there is no garbage to look for in it.
    gc.freeze()
    if arguments.verbose:
        seconds = time.perf_counter() - start
        print(f"{network.path}: loaded in {seconds:.1f} s", file=sys.stderr)


def run(command, inputs, normalise, answers, outputs, most=-1, glance=None, verbose=False):
    """
    Process inputs one after the other; the network does not wait between them.

    Whatever an input causes, on its way in, in the network or on its way out, costs that
    input alone, and is told on one line.

    Parameters
    ----------
    command : str
        Name that messages begin with.
    inputs : list of maxitools.inputs.Input
        What to process.
    normalise : callable
        Of the network's recipe.
    answers : callable
        From an iterable of images to their answers, as `maxitools.inference.mask_strips`.
    outputs : callable
        From an Input to the list of `maxitools.outputs.Output` that become of it.
    most : int
        Image HDUs to use of each input, drawn at random; all when -1.
    glance : callable, optional
        From an image, float32 (H, W), to what outputs want to know of it. It is called
        while later images wait to be read, and its result is kept, so that it should be small.
    verbose : bool
        Whether to say what was done and how long it took.

    Returns
    -------
    int
        Exit status: 0 when all went well, 1 when an input failed.
    """
    failed = set()
    images = _images(ahead(_read(inputs, normalise, most, glance)), failed)
    start = time.perf_counter()
    with tqdm(total=len(inputs), unit="file", disable=None) as bar:
        for number, parts in groupby(answers(images), key=lambda part: part[0][0]):
            source = inputs[number]
            try:
                told = _make(parts, outputs(source), start)
            except Exception as error:
                failed.add(number)
                reason = " ".join(str(error).split()) or type(error).__name__
                tqdm.write(f"{command}: {source.given}: {reason}", file=sys.stderr)
            else:
                if verbose:
                    tqdm.write(f"{source.given}: {told}", file=sys.stderr)
            # The network goes from input to input without a break: so does the clock.
            start = time.perf_counter()
            bar.update()
    return 1 if failed else 0


def _read(inputs, normalise, most, glance):
    """The number of each input with all that comes out of it, to the last or to an error."""
    for number, source in enumerate(inputs):
        try:
            drawn = draw(source, most)
            for hdu in read_hdus(source):
                if isinstance(hdu, CopiedHDU):
                    yield number, hdu
                elif drawn is None or hdu.index in drawn:
                    for plane in _planes(hdu, normalise, glance):
                        yield number, plane
                        del plane
        except Exception as error:
            yield number, error


def _planes(hdu, normalise, glance):
    start = time.perf_counter()
    for index, image in hdu.planes():
        read = time.perf_counter()
        plane = Plane(hdu, index, normalise(image) if image.any() else None)
        plane.glance = glance and glance(image)
        plane.seconds = {"read": read - start, "normalise": time.perf_counter() - read}
        del image
        yield plane
        del plane
        start = time.perf_counter()


def _images(items, failed):
    """For `answers`: all that was read, but for what is left of inputs that failed."""
    for number, item in items:
        if number not in failed:
            plane = isinstance(item, Plane)
            rows_of, shape = (item.rows_of, item.hdu.shape[-2:]) if plane else (None, None)
            yield (number, item), rows_of, shape


def _make(parts, outputs, start):
    """Hand what came of an input to its outputs; what to tell of it."""
    seconds, pixels = Counter(), 0
    with ExitStack() as stack:
        bar = stack.enter_context(tqdm(unit="row", leave=False, disable=None))
        for output in outputs:
            stack.enter_context(output)
        latest = None
        for (_, item), rows, answer in parts:
            for error in (item, answer):
                if isinstance(error, Exception):
                    raise error
            if isinstance(item, CopiedHDU):
                for output in outputs:
                    output.copy(item)
                continue
            if item is not latest:
                latest = item
                height, width = item.hdu.shape[-2:]
                pixels += height * width
                seconds.update(item.seconds)
                bar.set_description(f"HDU {item.hdu.index}")
                bar.reset(height)
                for output in outputs:
                    output.begin(item)
            if answer is not None:
                for output in outputs:
                    output.add(item, rows, answer)
                bar.update(rows.stop - rows.start)
            # From here on the outputs' alone.
            del answer
    for output in outputs:
        seconds.update(output.seconds)
    seconds["all"] = time.perf_counter() - start
    said = [output.summary for output in outputs if output.summary]
    return f"{', '.join(said)} in {seconds['all']:.2f} s" if said else _rates(pixels, seconds)


def _rates(pixels, seconds):
    steps = [f"{step} {s:.2f} s, {pixels / s / 1e6:.1f} MPix/s" for step, s in seconds.items() if s]
    return f"{pixels / 1e6:.2f} MPix ({'; '.join(steps)})"
