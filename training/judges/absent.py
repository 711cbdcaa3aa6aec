"""How much of real frames is masked as what is certainly not there.

``python -m training.judges.absent TABLE.tsv --net_path model --net_path OTHER``: nobody has to mark
a pixel to know that a frame shows no fringes. The table has, tab-separated:

``file``
    path of a FITS file, relative to the table;
``hdu``
    number of the image HDU;
``absent``
    classes of which no pixel is in the frame, separated by commas.

Masks are those of the defaults. Printed are, for each frame, the share of its pixels that is in
any of these classes, and the class with most; then each class over its frames. ``--scenes FOLDER``
writes the frames as scenes in which these classes are surely nowhere, and all others unsure: to
choose thresholds on (``training.judges.thresholds --real FOLDER``), or to train on.
"""

import argparse
import csv
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
from astropy.io import fits
from tqdm import tqdm

import maximask
from maxitools import networks
from maxitools.classes import NAMES
from training.simulation.scenes import BIT

# A real frame, and the names of the classes that it lacks.
Frame = namedtuple("Frame", "name path hdu absent")


def read_table(path):
    """
    Read the table of frames.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of Frame

    Raises
    ------
    ValueError
        When it cannot be read or names no known class; the message says where.
    """
    frames = []
    try:
        with open(path, newline="", encoding="utf-8") as table:
            for number, row in enumerate(csv.DictReader(table, delimiter="\t"), 2):
                absent = tuple(filter(None, row["absent"].split(",")))
                unknown = [name for name in absent if name not in NAMES]
                if unknown or not absent:
                    raise ValueError(
                        f"line {number}: expected classes of {' '.join(NAMES)}, "
                        f"found '{row['absent']}'"
                    )
                frames.append(
                    Frame(row["file"], path.parent / row["file"], int(row["hdu"]), absent)
                )
    except (OSError, ValueError, KeyError) as error:
        reason = f"no column {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{path}: {reason}") from None
    return frames


def shares(mask, classes, absent):
    """
    Shares of a frame's pixels that are in classes that it lacks.

    Parameters
    ----------
    mask : ndarray, (C, H, W)
        1 where a pixel is in a class.
    classes : sequence of str
        Names of the C classes.
    absent : sequence of str
        Those that it lacks.

    Returns
    -------
    dict of str to float
        By class, and of all of them together under "any".
    """
    planes = {name: mask[classes.index(name)] > 0 for name in absent if name in classes}
    found = {name: float(plane.mean()) for name, plane in planes.items()}
    return found | {"any": float(np.any(list(planes.values()), axis=0).mean())}


def write_scenes(folder, frames):
    """
    Write frames as scenes.

    Parameters
    ----------
    folder : Path
        Made if need be.
    frames : sequence of Frame
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        image = fits.getdata(frame.path, frame.hdu).astype(np.float32)
        unsure = sum(BIT[name] for name in NAMES if name not in frame.absent)
        np.savez(
            folder / f"absent_{number:04d}.npz",
            image=image,
            positive=np.zeros(image.shape, np.uint16),
            unsure=np.full(image.shape, unsure, np.uint16),
            known=frame.absent,
        )


def tables(frames, found):
    """
    Shares as two Markdown tables, by frame and by class.

    Parameters
    ----------
    frames : sequence of Frame
    found : dict of str to list of dict
        `shares` of each frame, by the name of the network.

    Returns
    -------
    str
    """
    lines = ["| frame | " + " | ".join(f"{label} | most" for label in found) + " |"]
    lines.append("| --- " * (2 * len(found) + 1) + "|")
    for i, frame in enumerate(frames):
        cells = []
        for values in found.values():
            most = max(frame.absent, key=lambda name, here=values[i]: here.get(name, 0))
            cells += [f"{values[i]['any']:.5f}", f"{most} {values[i].get(most, 0):.5f}"]
        lines.append(f"| {frame.name} | " + " | ".join(cells) + " |")
    lines += ["", "| class | frames | " + " | ".join(f"{label}: mean | worst" for label in found)]
    lines[-1] += " |"
    lines.append("| --- " * (2 * len(found) + 2) + "|")
    for name in (*NAMES, "any"):
        where = [i for i, frame in enumerate(frames) if name == "any" or name in frame.absent]
        if where:
            cells = []
            for values in found.values():
                here = [values[i].get(name, 0.0) for i in where]
                cells += [f"{np.mean(here):.5f}", f"{np.max(here):.5f}"]
            lines.append(f"| {name} | {len(where)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m training.judges.absent", description=__doc__)
    parser.add_argument("table", type=Path, help="of frames and of what they lack")
    parser.add_argument("--net_path", action="append", default=[], help="may be given repeatedly")
    parser.add_argument("--scenes", type=Path, help="folder to write the frames to as scenes")
    options = parser.parse_args(arguments)
    if not options.net_path and not options.scenes:
        parser.error("nothing to do: expected --net_path or --scenes")
    try:
        frames = read_table(options.table)
    except ValueError as error:
        parser.error(str(error))

    found = {}
    try:
        if options.scenes:
            write_scenes(options.scenes, frames)
        # One network after the other: only one is kept loaded.
        for net_path in options.net_path:
            classes = networks.find(net_path, "mask").recipe.classes
            found[net_path] = []
            for frame in tqdm(frames, unit="frame", disable=not sys.stderr.isatty()):
                image = fits.getdata(frame.path, frame.hdu)
                mask = maximask.mask(image, net_path)
                found[net_path].append(shares(mask, classes, frame.absent))
    except (OSError, networks.NetworkError) as error:
        sys.exit(f"absent: {error}")
    if found:
        print(tables(frames, found), end="")


if __name__ == "__main__":
    main()
