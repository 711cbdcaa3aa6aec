#!/usr/bin/env python3
"""
Compare this project, given the published networks of release 1.4.1, with the published commands.

    python benchmarks/agreement.py [--crop N] [--environment DIR] [--keep DIR] FRAME...

makes an environment for the published commands, runs both on the first image of each
frame, and prints a table in Markdown. Per frame: the share of pixels whose thresholded
masks agree, in the worst class; the largest difference of raw probabilities where both
are numbers, the share of them beyond 1e-3, and how many are a number in one of the two
only; the probability of a tracking error in both.

With `--again VARIABLE=VALUE` the published commands are compared with themselves: the second
run has this in its environment, as ONEDNN_MAX_CPU_ISA=AVX2, which is that of an older processor.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from published import network_folder, published_environment

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("maximask", "maxitrack")
RAW = ("--prior_modif", "False", "--proba_thresh", "False")
COLUMNS = (
    "frame",
    "camera",
    "shape",
    "masks, worst class",
    "raw, largest difference",
    "raw beyond 1e-3",
    "NaN in one only",
    "tracking, published",
    "tracking, ours",
)


def first_image(path, crop):
    """The first 2-D image of a file, or the central part of it, and the camera's name."""
    with fits.open(path) as hdus:
        hdu = next(hdu for hdu in hdus if hdu.is_image and len(hdu.shape) == 2)
        image, camera = hdu.data, hdu.header.get("INSTRUME") or hdus[0].header.get("INSTRUME", "")
    if crop:
        y, x = (max(0, (size - crop) // 2) for size in image.shape)
        image = image[y : y + crop, x : x + crop]
    return image, camera


def run_all(maximask, maxitrack, frames, answers, suffix, **variables):
    """
    Run both commands, and move what they write.

    Parameters
    ----------
    maximask, maxitrack : sequence of str
        The commands and their first arguments.
    frames : Path
        Folder of the frames.
    answers : Path
        Folder to make: `masks`, `raw` and `maxitrack.out` end in it.
    suffix : str
        Of the names of the masks that `maximask` writes.
    **variables : str
        Added to the environment.
    """

    def run(command, *arguments):
        subprocess.run(
            [*map(str, command), *arguments, "."],
            check=True,
            cwd=frames,
            env=os.environ | variables,
            stdout=subprocess.DEVNULL,
        )

    for name, arguments in (("masks", ()), ("raw", RAW)):
        (answers / name).mkdir(parents=True)
        run(maximask, *arguments)
        for path in frames.glob("*" + suffix):
            path.rename(answers / name / (path.name.removesuffix(suffix) + ".fits"))
    run(maxitrack)
    (frames / "maxitrack.out").rename(answers / "maxitrack.out")


def tracking(answers):
    """What `maxitrack` wrote, by the name of the frame."""
    lines = (answers / "maxitrack.out").read_text().splitlines()
    return {Path(path).name: value for path, value in (line.rsplit(" ", 1) for line in lines)}


def compare(theirs, ours, name):
    """
    Compare what both gave for a frame.

    Parameters
    ----------
    theirs, ours : Path
        Folders that `run_all` made.
    name : str
        Of the frame's file.

    Returns
    -------
    list of str
        The columns from "masks, worst class" on.
    """
    x, y = (fits.getdata(answers / "masks" / name) for answers in (theirs, ours))
    agreement = (x == y).mean(axis=(1, 2)).min()
    x, y = (fits.getdata(answers / "raw" / name) for answers in (theirs, ours))
    one_only = np.count_nonzero(np.isnan(x) != np.isnan(y))
    difference = np.abs(x - y)
    difference = difference[~np.isnan(difference)]
    return [
        f"{100 * agreement:.4f} %",
        f"{difference.max(initial=0):.1e}",
        f"{100 * np.count_nonzero(difference > 1e-3) / x.size:.5f} %",
        str(one_only),
        *(f"{float(tracking(answers)[name]):.4f}" for answers in (theirs, ours)),
    ]


def table(paths, environment, crop, folder, again):
    """
    Print the table.

    Parameters
    ----------
    paths : list of str
        Of the frames.
    environment : Path
        Of the published commands.
    crop : int or None
        Side of the central part to use.
    folder : Path
        Where frames and answers go; published answers that are there already are used.
    again : list of str
        Name and value of a variable, to compare the published commands with themselves.
    """
    environment = published_environment(environment)
    frames, theirs, ours = folder / "frames", folder / "published", folder / "ours"
    frames.mkdir(parents=True, exist_ok=True)
    cameras = {}
    for path in paths:
        image, camera = first_image(path, crop)
        name = Path(path).name.partition(".fits")[0] + ".fits"
        cameras[name] = camera
        fits.PrimaryHDU(image).writeto(frames / name, overwrite=True)
    published = [[environment / "bin" / name] for name in COMMANDS]
    # The file that is written last: without it a run was cut short.
    if not (theirs / "maxitrack.out").exists():
        shutil.rmtree(theirs, ignore_errors=True)
        run_all(*published, frames, theirs, ".mask.fits")
    shutil.rmtree(ours, ignore_errors=True)
    if again:
        run_all(*published, frames, ours, ".mask.fits", **dict([again]))
    else:
        networks = ("--net_path", network_folder(environment))
        commands = ((sys.executable, ROOT / f"{name}.py", *networks) for name in COMMANDS)
        run_all(*commands, frames, ours, ".masks.fits")
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + " --- |" * len(COLUMNS))
    for name, camera in cameras.items():
        if not (theirs / "masks" / name).exists():
            cells = ["refused by the published command", *[""] * (len(COLUMNS) - 3)]
        else:
            shape = fits.getheader(ours / "masks" / name)
            shape = f"{shape['NAXIS2']} x {shape['NAXIS1']}"
            cells = [shape, *compare(theirs, ours, name)]
        print("| " + " | ".join([name, camera, *cells]) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare with the published commands.")
    parser.add_argument("frames", nargs="+", metavar="FRAME")
    parser.add_argument("--crop", type=int, help="side of the central part to use")
    parser.add_argument(
        "--environment", type=Path, default=ROOT / ".published", help="where to make it"
    )
    parser.add_argument(
        "--keep", type=Path, help="folder to keep the answers in, and to take published ones from"
    )
    parser.add_argument(
        "--again",
        type=lambda text: text.split("=", 1),
        metavar="VARIABLE=VALUE",
        help="compare the published commands with themselves in this environment",
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        table(chosen.frames, chosen.environment, chosen.crop, folder.resolve(), chosen.again)
