"""Turn exposures of one field into scenes with labels: ``python -m training.series --help``.

What one exposure shows and no other is a hit; what stays with the detector while the sky moves is
a defect; what stays with the sky is an object. See docs/series.md.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy import ndimage
from tqdm import tqdm

from maxitools.classes import NAMES
from training.comparison import compare
from training.registration import RegistrationError, read_frame, register
from training.simulation.scenes import BIT

SUFFIXES = (".fits", ".fits.fz", ".fits.gz", ".fit", ".fts")
FEWEST = 3


def hdu_key(text):
    """What astropy looks up an HDU by: its number, or its name."""
    return int(text) if text.isdigit() else text


def exposures(inputs):
    """Files that are named, and FITS files in folders that are, in order."""
    paths = []
    for path in inputs:
        if path.is_dir():
            paths += sorted(p for p in path.rglob("*") if p.name.lower().endswith(SUFFIXES))
        else:
            paths.append(path)
    return paths


def read(path, hdu, mask_hdu, saturation):
    """
    An exposure and what its headers say.

    Returns
    -------
    frame : Frame
    header : callable
        `header(keyword)` looks in the image's HDU, then in the primary one.

    Raises
    ------
    ValueError, OSError
        If there is no image.
    """
    with fits.open(path) as hdus:
        try:
            image = next(h for h in hdus if h.data is not None) if hdu is None else hdus[hdu]
            bad = None if mask_hdu is None else np.asarray(hdus[mask_hdu].data) != 0
        except (KeyError, IndexError, StopIteration):
            raise ValueError(f"no image HDU {'' if hdu is None else hdu}") from None
        if image.data is None or image.data.ndim != 2:
            raise ValueError(f"HDU {image.name or hdu} is no image of two dimensions")
        headers = [image.header.copy(), hdus[0].header.copy()]
        frame = read_frame(stem(path), np.asarray(image.data), bad, saturation)

    def header(keyword):
        return next((h[keyword] for h in headers if keyword in h), None)

    return frame, header


def stem(path):
    """Name of a file without what says that it is a FITS file."""
    name = path.name
    for suffix in (".fz", ".gz", ".fits", ".fit", ".fts"):
        name = name.removesuffix(suffix)
    return name


def write_scene(folder, frame, verdict, saturation, absent):
    """
    Write a scene, and the line that makes it a background.

    Parameters
    ----------
    folder : Path
    frame : Frame
    verdict : Verdict
    saturation : float or None
        Level of the image from which pixels are saturated.
    absent : sequence of str
        Classes of which the frame is free.

    Returns
    -------
    dict
        A row of ``backgrounds.tsv``.
    """
    labels, known = verdict.labels, [*verdict.known, *absent]
    if saturation is not None:
        full = frame.image >= saturation
        labels.mark("SAT", full, ndimage.binary_dilation(full, np.ones((5, 5), bool)))
        known.append("SAT")
    unknown = [name for name in NAMES if name not in known and name != "BG"]
    for name in unknown:
        labels.unsure |= BIT[name]
    labels.finish()
    np.savez(
        folder / f"{frame.name}.npz",
        image=frame.image,
        positive=labels.positive,
        unsure=labels.unsure,
        known=sorted(known, key=NAMES.index),
    )
    # Near bright objects, backgrounds leave these two out anyway.
    unknown = [name for name in unknown if name not in ("SP", "BBG")]
    return {
        "file": f"{frame.name}.npz",
        "hdu": "",
        "saturation": "" if saturation is None else saturation,
        "everywhere": "",
        "unknown": ",".join(unknown),
    }


def footprints(frame, verdict, gain, first):
    """
    Pixels of the hits that stand alone on the sky.

    Parameters
    ----------
    frame : Frame
    verdict : Verdict
    gain : float
        Electrons per unit.
    first : int
        Number of the first event.

    Returns
    -------
    list of tuple
        Event, x, y, electrons.
    """
    hit = verdict.labels.positive & BIT["CR"] > 0
    groups, _ = ndimage.label(verdict.charge > 0, np.ones((3, 3)))
    rows = []
    for number, box in enumerate(ndimage.find_objects(groups), 1):
        inside = groups[box] == number
        if not (inside & hit[box]).any():
            continue
        y, x = np.nonzero(inside)
        electrons = verdict.charge[box][inside] * gain
        rows += [(first, *pixel) for pixel in zip(x, y, np.rint(electrons), strict=True)]
        first += 1
    return rows


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m training.series", description=__doc__)
    parser.add_argument("inputs", type=Path, nargs="+", help="exposures, or folders of them")
    parser.add_argument("output", type=Path, help="folder of the scenes; made if need be")
    parser.add_argument(
        "--hdu", type=hdu_key, help="number or name of the image HDU (default: the first image)"
    )
    parser.add_argument(
        "--mask_hdu", type=hdu_key, help="HDU of each file that is not 0 where pixels are bad"
    )
    parser.add_argument(
        "--group",
        nargs="+",
        default=["INSTRUME", "FILTER"],
        metavar="KEYWORD",
        help="exposures that differ in one of these header keywords, or in size, are not compared "
        "(default: INSTRUME FILTER)",
    )
    parser.add_argument(
        "--gain", type=float, help="electrons per unit (default: GAIN of the headers)"
    )
    parser.add_argument("--saturation", type=float, help="level from which pixels are saturated")
    parser.add_argument(
        "--absent",
        nargs="+",
        default=[],
        choices=[name for name in NAMES if name != "BG"],
        metavar="CLASS",
        help="classes that no exposure shows, FR NEB OV for instance",
    )
    parser.add_argument("--footprints", type=Path, help="write the hits as a FITS table")
    options = parser.parse_args(arguments)

    groups = {}
    for path in tqdm(exposures(options.inputs), unit="exposure", desc="reading", disable=None):
        try:
            frame, header = read(path, options.hdu, options.mask_hdu, options.saturation)
        except (OSError, ValueError) as error:
            print(f"series: {path}: {error}", file=sys.stderr)
            continue
        gain = options.gain or header("GAIN")
        key = frame.light.shape, *(str(header(keyword)) for keyword in options.group)
        groups.setdefault(key, []).append((frame, gain))

    options.output.mkdir(parents=True, exist_ok=True)
    rows, hits = [], []
    for key, members in groups.items():
        frames = overlaid([frame for frame, _ in members])
        if len(frames) < FEWEST:
            print(f"series: {' '.join(key[1:])}: fewer than {FEWEST} alike", file=sys.stderr)
            continue
        gains = [gain for _, gain in members if gain]
        gain = float(np.median(gains)) if gains else None
        if options.footprints and not gain:
            print(f"series: {' '.join(key[1:])}: no footprints without --gain", file=sys.stderr)
        for frame, verdict in compare(frames, gain):
            rows.append(
                write_scene(options.output, frame, verdict, options.saturation, options.absent)
            )
            print(summary(frame, verdict), flush=True)
            if options.footprints and gain:
                hits += footprints(frame, verdict, gain, hits[-1][0] + 1 if hits else 0)
    with open(options.output / "backgrounds.tsv", "w", encoding="utf-8") as table:
        table.write("\t".join(rows[0]) + "\n")
        table.writelines("\t".join(map(str, row.values())) + "\n" for row in rows)
    if options.footprints:
        columns = list(zip(*hits, strict=True)) or [[]] * 4
        names = ("event", "x", "y", "electrons")
        fits.BinTableHDU.from_columns(
            [
                fits.Column(n, "J", array=np.array(c, int))
                for n, c in zip(names, columns, strict=True)
            ]
        ).writeto(options.footprints, overwrite=True)


def overlaid(frames):
    """The frames that could be registered to the one in the middle of the series."""
    first, kept = frames[len(frames) // 2], []
    for frame in frames:
        try:
            if frame is not first:
                register(frame, first)
            kept.append(frame)
        except RegistrationError as error:
            print(f"series: left out: {error}", file=sys.stderr)
    return kept


def summary(frame, verdict):
    """A line on what was found in a frame."""
    labels = verdict.labels
    parts = [frame.name]
    for name in verdict.known:
        positive, unsure = labels.positive & BIT[name] > 0, labels.unsure & BIT[name] > 0
        count = ndimage.label(positive, np.ones((3, 3)))[1]
        parts.append(f"{name} {count} ({positive.sum()} px, {unsure.mean():.2%} unsure)")
    return "  ".join(parts)


if __name__ == "__main__":
    main()
