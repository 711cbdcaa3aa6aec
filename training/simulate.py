"""Make scenes to train and judge a network on: ``python -m training.simulate --help``.

Scene i of a seed is always the same. It is a file ``scene_<i>.npz`` with ``image`` (float32); for
the task "mask" with ``positive`` and ``unsure`` (uint16 bit masks over the classes), for "track"
with ``affected`` (bool), the ``name`` of the motion and its ``amount`` in FWHM.
"""

import argparse
import multiprocessing
import os
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.simulation import sources
from training.simulation.exposures import draw_exposure
from training.simulation.scenes import Sources, draw_scene

DRAW = {"mask": draw_scene, "track": draw_exposure}
# What a scene of each task holds, in the order in which it is drawn.
NAMES = {
    "mask": ("image", "positive", "unsure"),
    "track": ("image", "affected", "name", "amount"),
}
# What draws a scene, with real frames and footprints, for workers to inherit rather than to copy.
_drawing = []


def write_scenes(folder, task, draw, seed, count, workers=None):
    """
    Write scenes, but for those that are there already.

    Parameters
    ----------
    folder : Path
        Made if need be.
    task : str
        ``"mask"`` or ``"track"``.
    draw : callable
        From a `numpy.random.Generator` and the number of the scene to what `NAMES` tells.
    seed, count : int
    workers : int, optional
        Processes; as many as there are cores when not given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _drawing.append(draw)
    write = partial(_write_scene, folder, NAMES[task], seed)
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        for _ in tqdm(pool.imap_unordered(write, range(count)), total=count, unit="scene"):
            pass


def _write_scene(folder, names, seed, index):
    path = folder / f"scene_{index:06d}.npz"
    if path.exists():
        return
    scene = _drawing[-1](np.random.default_rng((seed, index)), index)
    save_scene(path, dict(zip(names, scene, strict=True)))


def save_scene(path, parts):
    """Write a scene's parts, ndarray by name, to an ``npz`` file that appears whole."""
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez(file, **parts)
    os.replace(part, path)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m training.simulate", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the scenes go; made if need be")
    parser.add_argument("--task", choices=DRAW, default="mask", help="default: mask")
    parser.add_argument("--scenes", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--size", type=int, default=512, help="side in pixels (default: 512)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backgrounds", help="folder of real frames; see simulation/sources.py")
    parser.add_argument(
        "--footprints",
        nargs="*",
        default=[],
        help="tables of real cosmic rays; see simulation/sources.py",
    )
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")
    options = parser.parse_args(arguments)

    real = Sources(
        sources.read_backgrounds(options.backgrounds) if options.backgrounds else [],
        [event for table in options.footprints for event in sources.read_footprints(table)],
    )
    draw, shape = DRAW[options.task], (options.size, options.size)
    write_scenes(
        options.folder,
        options.task,
        lambda rng, index: draw(rng, shape, real),
        options.seed,
        options.scenes,
        options.workers,
    )


if __name__ == "__main__":
    main()
