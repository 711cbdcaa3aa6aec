#!/usr/bin/env python3
"""
Where the time of a frame goes.

    python benchmarks/breakdown.py [--net_path DIR] [--side N]

prints milliseconds of processor time per megapixel, of one thread, for each step of the mask
command; `runtimes.py` times the network by itself.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import frames

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def cost(function, times=4):
    """Least processor time of some calls, in seconds, and what the last one returned."""
    spent = []
    for _ in range(times):
        start = time.process_time()
        result = function()
        spent.append(time.process_time() - start)
    return min(spent), result


def steps(network, side):
    """
    Time the steps from file to mask.

    Parameters
    ----------
    network : maxitools.frozen.FrozenNetwork
        For masks.
    side : int
        Of the image, which is one tile.

    Returns
    -------
    dict
        Seconds by step.
    """
    from maxitools.frames import read_hdus
    from maxitools.headers import mask_header
    from maxitools.inference import mask_strips
    from maxitools.inputs import Input
    from maxitools.maskfile import MaskFile
    from maxitools.tiling import Span, Tile

    recipe, shape = network.recipe, (side, side)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        path = frames.write(Path(folder, "frame.fits"), [shape])

        def read():
            for hdu in read_hdus(Input(str(path), path)):
                for _, image in hdu.planes():
                    return hdu.header, image

        seconds["read"], (header, image) = cost(read)
        seconds["measure sky and noise"], rows_of = cost(lambda: recipe.normalise(image))
        seconds["normalise"], pixels = cost(lambda: rows_of(0, side))
        answer = network.masks(recipe.classes, recipe.default_priors, recipe.thresholds)
        tile = [Tile(pixels, *[Span(0, side, 0, side)] * 2)]
        seconds["network, thresholds"], _ = cost(lambda: answer(tile))
        images = [(None, lambda first, last: pixels[first:last], shape, Counter())]
        whole, strips = cost(lambda: list(mask_strips(images, recipe, answer)))
        seconds["the same, and planes"] = whole

        def write():
            planes = len(recipe.classes), side, side
            with MaskFile(Path(folder, "masks.fits")) as file:
                file.append_image(mask_header(header, planes, "uint8", True, []))
                for _, rows, strip in strips:
                    for plane, mask in enumerate(strip):
                        file.write_rows((plane,), rows.start, mask)

        seconds["write"], _ = cost(write)
    return seconds


def report(title, seconds, megapixels):
    print(f"\n{title}, ms per megapixel")
    for what, spent in seconds.items():
        print(f"{1e3 * spent / megapixels:10.1f}  {what}")


def main():
    parser = argparse.ArgumentParser(description="Print where the time of a frame goes.")
    parser.add_argument("--net_path", default=ROOT / "model", help="our networks")
    parser.add_argument("--side", type=int, default=1088, help="of the image, in pixels")
    arguments = parser.parse_args()
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    from maxitools import networks

    network = networks.find(arguments.net_path, "mask").load(1, "cpu")
    report("Steps of maximask", steps(network, arguments.side), arguments.side**2 / 1e6)


if __name__ == "__main__":
    main()
