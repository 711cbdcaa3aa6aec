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

from training import sources
from training.exposures import draw_exposure
from training.scenes import Sources, draw_scene

# Real frames and footprints, for workers to inherit rather than to copy.
_shared = []


def _write_scene(folder, task, seed, size, index):
    path = folder / f"scene_{index:06d}.npz"
    if path.exists():
        return
    draw = draw_scene if task == "mask" else draw_exposure
    names = ("positive", "unsure") if task == "mask" else ("affected", "name", "amount")
    image, *truth = draw(np.random.default_rng((seed, index)), (size, size), _shared[-1])
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez(file, image=image, **dict(zip(names, truth, strict=True)))
    os.replace(part, path)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m training.simulate", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the scenes go; made if need be")
    parser.add_argument("--task", choices=("mask", "track"), default="mask", help="default: mask")
    parser.add_argument("--scenes", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--size", type=int, default=512, help="side in pixels (default: 512)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backgrounds", help="folder of real frames; see training/sources.py")
    parser.add_argument("--footprints", help="table of real cosmic rays; see training/sources.py")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args(arguments)

    options.folder.mkdir(parents=True, exist_ok=True)
    real = Sources(
        sources.read_backgrounds(options.backgrounds) if options.backgrounds else [],
        sources.read_footprints(options.footprints) if options.footprints else [],
    )
    _shared.append(real)
    write = partial(_write_scene, options.folder, options.task, options.seed, options.size)
    with multiprocessing.get_context("fork").Pool(options.workers) as pool:
        scenes = pool.imap_unordered(write, range(options.scenes))
        for _ in tqdm(scenes, total=options.scenes, unit="scene"):
            pass


if __name__ == "__main__":
    main()
