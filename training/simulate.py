"""Make scenes to train and judge a network on: ``python -m training.simulate --help``."""

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


def write_scene(index, folder, task, seed, size, real):
    """
    Draw a scene and write it, unless it is there already.

    Parameters
    ----------
    index : int
        Number of the scene; with the seed it decides everything in it.
    folder : Path
        Where ``scene_<index>.npz`` appears, with ``image`` (float32, (size, size)). For the task
        "mask" it also has ``positive`` and ``unsure`` (uint16 bit masks over the classes), for
        "track" ``affected`` (bool), the ``name`` of the motion and its ``amount`` in FWHM.
    task : str
    seed, size : int
    real : Sources
    """
    path = folder / f"scene_{index:06d}.npz"
    if path.exists():
        return
    draw = draw_scene if task == "mask" else draw_exposure
    names = ("positive", "unsure") if task == "mask" else ("affected", "name", "amount")
    image, *truth = draw(np.random.default_rng((seed, index)), (size, size), real)
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez(file, image=image, **dict(zip(names, truth, strict=True)))
    os.replace(part, path)


def main():
    parser = argparse.ArgumentParser(prog="python -m training.simulate", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the scenes go; made if need be")
    parser.add_argument("--task", choices=("mask", "track"), default="mask", help="default: mask")
    parser.add_argument("--scenes", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--size", type=int, default=512, help="side in pixels (default: 512)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backgrounds", help="folder of real frames; see training/sources.py")
    parser.add_argument("--footprints", help="table of real cosmic rays; see training/sources.py")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()

    options.folder.mkdir(parents=True, exist_ok=True)
    real = Sources(
        sources.read_backgrounds(options.backgrounds) if options.backgrounds else [],
        sources.read_footprints(options.footprints) if options.footprints else [],
    )
    write = partial(_write_scene, options.folder, options.seed, options.size)
    _shared.append(real)
    # Forked workers see the real frames without a copy.
    with multiprocessing.get_context("fork").Pool(options.workers) as pool:
        scenes = pool.imap_unordered(write, range(options.scenes))
        for _ in tqdm(scenes, total=options.scenes, unit="scene"):
            pass


if __name__ == "__main__":
    main()
