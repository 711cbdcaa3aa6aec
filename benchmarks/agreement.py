#!/usr/bin/env python3
"""
Compare this project, given the published networks of release 1.4.1, with the published commands.

    python benchmarks/agreement.py [--crop N] [--environment DIR] FRAME...

makes an environment for the published commands, runs both on the first image of each
frame, and prints for each: worst agreement of the thresholded masks over the classes,
largest difference of the raw probabilities, and both tracking probabilities.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from published import network_folder, published_environment

ROOT = Path(__file__).resolve().parents[1]


def first_image(path, crop):
    """The first 2-D image of a file, or the central part of it."""
    with fits.open(path) as hdus:
        hdu = next(hdu for hdu in hdus if hdu.is_image and len(hdu.shape) == 2)
        image, camera = hdu.data, hdu.header.get("INSTRUME") or hdus[0].header.get("INSTRUME", "")
    if crop:
        y, x = (max(0, (size - crop) // 2) for size in image.shape)
        image = image[y : y + crop, x : x + crop]
    return image, camera


def run(command, folder, *arguments):
    """Run a command on a folder of frames."""
    subprocess.run(
        [*command, *arguments, folder], check=True, cwd=folder, stdout=subprocess.DEVNULL
    )


def compare(frames, environment, crop):
    """Print the table."""
    environment = published_environment(environment)
    networks = network_folder(environment)
    with tempfile.TemporaryDirectory() as scratch:
        folders = {}
        for run_name in ("masks", "raw"):
            folders[run_name] = Path(scratch, run_name)
            folders[run_name].mkdir()
        cameras = []
        for i, frame in enumerate(frames):
            image, camera = first_image(frame, crop)
            cameras.append(camera)
            for folder in folders.values():
                fits.PrimaryHDU(image).writeto(folder / f"{i:03d}.fits")
        raw = ("--prior_modif", "False", "--proba_thresh", "False")
        for name, options in (("masks", ()), ("raw", raw)):
            folder = folders[name]
            run([environment / "bin" / "maximask"], folder, *options)
            for path in list(folder.glob("*.mask.fits")):
                path.rename(path.with_suffix(".published"))
            run([sys.executable, ROOT / "maximask.py"], folder, "--net_path", networks, *options)
        tracking = []
        for command in (
            [environment / "bin" / "maxitrack"],
            [sys.executable, ROOT / "maxitrack.py", "--net_path", networks],
        ):
            folder = folders["masks"]
            for path in folder.glob("*.masks.fits"):
                path.rename(path.with_suffix(".ours"))
            (folder / "maxitrack.out").unlink(missing_ok=True)
            run(command, folder)
            lines = (folder / "maxitrack.out").read_text().splitlines()
            tracking.append({Path(a).name: b for a, b in (line.split() for line in lines)})
        print("frame\tshape\tcamera\tworst class agreement\traw difference\ttracking, both")
        for i, (frame, camera) in enumerate(zip(frames, cameras, strict=True)):
            if not (folders["raw"] / f"{i:03d}.mask.published").exists():
                print(f"{Path(frame).name}\trefused by the published command", flush=True)
                continue
            theirs = fits.getdata(folders["masks"] / f"{i:03d}.mask.published")
            ours = fits.getdata(folders["masks"] / f"{i:03d}.masks.ours")
            agreement = (theirs == ours).mean(axis=(1, 2)).min()
            theirs = fits.getdata(folders["raw"] / f"{i:03d}.mask.published")
            ours = fits.getdata(folders["raw"] / f"{i:03d}.masks.fits")
            difference = np.abs(theirs - ours).max()
            both = [values.get(f"{i:03d}.fits", "none") for values in tracking]
            print(
                f"{Path(frame).name}\t{ours.shape[1]}x{ours.shape[2]}\t{camera}\t"
                f"{100 * agreement:.4f} %\t{difference:.1e}\t{both[0]} {both[1]}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare with the published commands.")
    parser.add_argument("frames", nargs="+", metavar="FRAME")
    parser.add_argument("--crop", type=int, help="side of the central part to use")
    parser.add_argument(
        "--environment", type=Path, default=ROOT / ".published", help="where to make it"
    )
    chosen = parser.parse_args()
    compare(chosen.frames, chosen.environment, chosen.crop)
