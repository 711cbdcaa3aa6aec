"""A list of exposures in chunks: their lists, what each needs, and what came of all, joined."""

import hashlib
import math
from collections import Counter, namedtuple
from contextlib import suppress
from functools import cache

from maxitools.inputs import InputError, list_inputs

# docs/scale.md tells what was measured: a fifth less memory, a fifth of the time.
BASE_MB, MB_PER_MEGAPIXEL = 1300, 25
START_SECONDS, SECONDS_PER_MEGAPIXEL = 60, 1.5
MB_PER_CORE = 4000

Needs = namedtuple("Needs", "threads mem_mb runtime")
Needs.__doc__ = """What the job of a chunk asks for: cores, MB of memory, minutes."""


def write_chunks(inputs, size, folder):
    """
    Cut exposures into chunks, and write a list of each.

    A list is named after what is in it, so that exposures that come later leave finished
    chunks alone. It is written anew when an exposure is newer.

    Parameters
    ----------
    inputs : str
        List of FITS files, or a folder of them.
    size : int
        Exposures of a chunk, at the most.
    folder : Path
        Where the lists go.

    Returns
    -------
    list of Path
        The lists, in the order of the exposures.

    Raises
    ------
    maxitools.inputs.InputError
        When there is no exposure, or two of one name: their masks would have one too.
    """
    exposures = list_inputs(inputs)
    names = Counter((exposure.path.name, exposure.hdu) for exposure in exposures)
    (name, _), number = names.most_common(1)[0]
    if number > 1:
        raise InputError(f"{inputs}: {number} exposures are called {name}")
    folder.mkdir(parents=True, exist_ok=True)
    lists = []
    for first in range(0, len(exposures), size):
        chunk = exposures[first : first + size]
        text = "".join(f"{exposure.given}\n" for exposure in chunk)
        path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.list"
        if _changed(path) <= max(_changed(exposure.path) for exposure in chunk):
            path.write_text(text, encoding="utf-8")
        lists.append(path)
    return lists


def _changed(path):
    """When a file was last changed, in seconds; 0 when there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def needs(chunk, attempt=1):
    """
    What the job of a chunk asks for, after the first of its exposures that can be read.

    Parameters
    ----------
    chunk : str
        Its list.
    attempt : int
        1 at first. Later ones get more memory and time: they may have lacked it.

    Returns
    -------
    Needs
    """
    exposures, largest, all_pixels = _megapixels(str(chunk))
    mem_mb = attempt * math.ceil(BASE_MB + MB_PER_MEGAPIXEL * largest)
    # Cores that nobody can use for lack of memory may as well help.
    threads = math.ceil(mem_mb / MB_PER_CORE)
    seconds = START_SECONDS + exposures * SECONDS_PER_MEGAPIXEL * all_pixels
    return Needs(threads, mem_mb, attempt * math.ceil(seconds / 60))


@cache
def _megapixels(chunk):
    """Exposures of a chunk; of one of them the pixels of the largest image, and of all images."""
    # It takes time, and is asked for only where jobs are handed out.
    from astropy.io import fits

    exposures = list_inputs(chunk)
    for exposure in exposures:
        with suppress(Exception), fits.open(exposure.path) as hdus:
            images = hdus if exposure.hdu is None else [hdus[exposure.hdu]]
            shapes = [hdu.shape for hdu in images if len(getattr(hdu, "shape", ())) in (2, 3)]
            largest = max(math.prod(shape[-2:]) for shape in shapes)
            return len(exposures), largest / 1e6, sum(map(math.prod, shapes)) / 1e6
    return len(exposures), 0.0, 0.0


def joined(chunks, suffix):
    """
    What the jobs of all chunks wrote.

    Parameters
    ----------
    chunks : list of Path
        The lists of the chunks.
    suffix : str
        Of the files to join, which lie beside these.

    Yields
    ------
    str
        Line by line.
    """
    for chunk in chunks:
        part = chunk.with_suffix(suffix)
        if part.exists():
            with open(part, encoding="utf-8") as lines:
                yield from lines
