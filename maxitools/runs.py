"""A list of inputs through all of it: ahead, failures, progress, rates, log, exit status."""

import gc
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from tqdm import tqdm

from maxitools.frames import CopiedHDU, ImageHDU, described, read_hdus
from maxitools.messages import reason, say
from maxitools.options import STARTED
from maxitools.pipeline import ahead
from maxitools.pixels import has_data


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
        From `recipe.normalise`: its normalised rows. None when there are no data.
    glance : object
        What the run's `glance` made of the image itself.
    seconds : Counter
        Spent on it, by step.
    """

    hdu: ImageHDU
    index: tuple
    rows_of: object
    glance: object = None
    seconds: Counter = field(default_factory=Counter)


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
    if arguments.verbose:
        say(f"libraries imported, inputs listed in {start - STARTED:.2f} s")
    network.load(arguments.threads, arguments.device)
    # What is loaded stays, too: from here on, look for garbage in what is made of images.
    gc.freeze()
    gc.enable()
    if arguments.verbose:
        seconds = time.perf_counter() - start
        where = f"{network.version} on the {network.device}"
        say(f"{network.path}: loaded in {seconds:.2f} s, to run in {where}")


def left_to_do(inputs, there, log=None, verbose=False):
    """
    Inputs that have no results yet.

    Parameters
    ----------
    inputs : list of maxitools.inputs.Input
    there : callable
        From an Input to the path of the file that holds its results, or to None.
    log : maxitools.log.Log, optional
        Gets a line for each of the others.
    verbose : bool
        Whether to name the others.

    Returns
    -------
    list of Input
    """
    left = []
    for source in inputs:
        path = there(source)
        if path is None:
            left.append(source)
            continue
        if log:
            log.write(source, "skipped", output=str(path.absolute()))
        if verbose:
            say(f"{source.given}: done before, in {path}")
    return left


def run(
    command,
    inputs,
    normalise,
    answers,
    outputs,
    most=-1,
    glance=None,
    log=None,
    verbose=False,
):
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
    log : maxitools.log.Log, optional
        Gets lines for each input.
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
            source, way = inputs[number], _Way(start)
            try:
                way.follow(parts, outputs(source))
            except Exception as error:
                failed.add(number)
                way.message = reason(error)
                say(f"{command}: {source.given}: {way.message}")
            else:
                for note in way.notes:
                    say(f"{command}: {source.given}: {note}")
                if verbose:
                    say(f"{source.given}: {way.told}")
            # The network goes from input to input without a break: so does the clock.
            start = time.perf_counter()
            if log:
                try:
                    way.write(log, source, start)
                except OSError as error:
                    failed.add(number)
                    say(f"{command}: {source.given}: {reason(error)}")
            bar.update()
    return 1 if failed else 0


def _read(inputs, normalise, most, glance):
    """The number of each input with all that comes out of it, to the last or to an error."""
    for number, source in enumerate(inputs):
        try:
            for hdu in read_hdus(source, most):
                if isinstance(hdu, CopiedHDU):
                    yield number, hdu
                    continue
                for plane in _planes(hdu, normalise, glance):
                    yield number, plane
                    del plane
        except Exception as error:
            yield number, error


def _planes(hdu, normalise, glance):
    start = time.perf_counter()
    for index, image in hdu.planes():
        read = time.perf_counter()
        plane = Plane(hdu, index, normalise(image) if has_data(image) else None)
        plane.glance = glance and glance(image)
        plane.seconds.update(read=read - start, normalise=time.perf_counter() - read)
        del image
        yield plane
        del plane
        start = time.perf_counter()


def _images(items, failed):
    """For `answers`: all that was read, but for what is left of inputs that failed."""
    for number, item in items:
        if number not in failed:
            if isinstance(item, Plane):
                yield (number, item), item.rows_of, item.hdu.shape[-2:], item.seconds
            else:
                yield (number, item), None, None, None


class _Way:
    """
    The way of one input to its outputs, and what is to be told of it.

    Parameters
    ----------
    start : float
        When it began, by `time.perf_counter`.
    """

    def __init__(self, start):
        self._start = self._hdu_start = start
        self._pixels, self._seconds = 0, Counter()
        self._hdus, self._logged = [], {}
        self.message, self.notes = None, []

    def follow(self, parts, outputs):
        """Hand what came of the input to its outputs."""
        with ExitStack() as stack:
            bar = stack.enter_context(tqdm(unit="row", leave=False, disable=None))
            for output in outputs:
                stack.enter_context(output)
            for hdu, of_hdu in groupby(parts, key=lambda part: getattr(part[0][1], "hdu", None)):
                for (_, item), strips in groupby(of_hdu, key=itemgetter(0)):
                    if isinstance(item, Exception):
                        raise item
                    if isinstance(item, CopiedHDU):
                        for output in outputs:
                            output.copy(item)
                        continue
                    self._image(item, strips, outputs, bar)
                if hdu:
                    self._end(hdu, outputs)
        for output in outputs:
            self._seconds.update(output.seconds)
            self._logged.update(output.logged)
        self._seconds["all"] = time.perf_counter() - self._start
        said = ", ".join(output.summary for output in outputs if output.summary)
        self.told = f"{said} in {self._seconds['all']:.2f} s" if said else self._rates()

    def _image(self, plane, strips, outputs, bar):
        height, width = plane.hdu.shape[-2:]
        self._pixels += height * width
        bar.set_description(f"HDU {plane.hdu.index}")
        bar.reset(height)
        for output in outputs:
            output.begin(plane)
        for _, rows, answer in strips:
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                for output in outputs:
                    output.add(plane, rows, answer)
                bar.update(rows.stop - rows.start)
            # From here on the outputs' alone.
            del answer
        self._seconds.update(plane.seconds)

    def _end(self, hdu, outputs):
        self.notes += hdu.notes
        now = time.perf_counter()
        line = {
            "hdu": hdu.index,
            "extname": hdu.header.get("EXTNAME"),
            "shape": hdu.shape,
            **described(hdu.header, hdu.primary),
        }
        for output in outputs:
            line.update(output.end(hdu))
        self._hdus.append({**line, "seconds": round(now - self._hdu_start, 3)})
        self._hdu_start = now

    def _rates(self):
        steps = [
            f"{step} {s:.2f} s, {self._pixels / s / 1e6:.1f} MPix/s"
            for step, s in self._seconds.items()
            if s
        ]
        return f"{self._pixels / 1e6:.2f} MPix ({'; '.join(steps)})"

    def write(self, log, source, now):
        """Write what is known to a log; of HDUs where all went well."""
        seconds = round(now - self._start, 3)
        if self.message is None:
            log.write(source, "done", self._hdus, **self._logged, seconds=seconds)
        else:
            log.write(source, "failed", message=self.message, seconds=seconds)
