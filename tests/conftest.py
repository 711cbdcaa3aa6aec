"""Stand-in networks whose answers follow from the pixels, and images to give them."""

import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from maxitools.classes import NAMES
from maxitools.descriptions import FORMATS

ROOT = Path(__file__).resolve().parents[1]


def write_network(folder, task, outputs, **description):
    """
    Write a network whose output is a function of its pixels.

    Parameters
    ----------
    folder : Path
    task : {"mask", "track"}
    outputs : callable
        From pixels (N, H, W, 2) to what the network answers.
    **description
        More of `network.json`.
    """
    import tensorflow as tf

    from training.export import write_description, write_graph

    folder.mkdir(parents=True)
    write_graph(folder / "graph.pb", partial(outputs, tf), 2, "answers")
    description = {
        "format": FORMATS[task],
        "task": task,
        "graph": "graph.pb",
        "input": "pixels:0",
        "output": "answers:0",
        "normalisation": "two_scale",
        **description,
    }
    write_description(folder, description)


def _mask_logits(tf, pixels):
    """CR where a pixel is 20 sigma above the sky, HCL where 20 below, BG where neither."""
    x = pixels[..., :1]
    bright, dark = x - 20.0, -20.0 - x
    return tf.concat([bright, dark] + [0 * x - 10.0] * 11 + [-tf.maximum(bright, dark)], -1)


def _track_answers(tf, pixels):
    """Log-odds 4 where the brightest pixel of a tile is above 50 sigma, else -4; equal weights."""
    brightest = tf.reduce_max(pixels[..., 0], axis=(1, 2))
    return tf.stack([tf.where(brightest > 50.0, 4.0, -4.0), 0.0 * brightest], -1)


PRIORS = dict.fromkeys(NAMES, 0.1)


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """A folder with a mask and a tracking network, as `--net_path` takes it."""
    folder = tmp_path_factory.mktemp("networks")
    write_network(
        folder / "maximask",
        "mask",
        _mask_logits,
        classes=NAMES,
        tile=192,
        halo=32,
        multiple=32,
        training_priors=PRIORS,
        default_priors=PRIORS,
        thresholds=dict.fromkeys(NAMES, 0.5),
    )
    write_network(
        folder / "maxitrack",
        "track",
        _track_answers,
        tile=128,
        multiple=32,
        aggregation={"gain": 1.0, "offset": 0.0},
    )
    return folder


@pytest.fixture
def sky():
    """An image (300, 340) of sky 1000 and noise 10, with hits and dead pixels put in."""
    image = np.random.default_rng(5).normal(1000, 10, (300, 340)).astype(np.float32)
    image[hits()] = 5000
    image[dead()] = 100
    return image


def hits():
    """Where the hits are: across tile borders, at edges, and at a corner."""
    rows = np.array([0, 0, 150, 150, 191, 192, 299, 299])
    columns = np.array([0, 339, 150, 151, 191, 192, 0, 339])
    return rows, columns


def dead():
    """Where the dead pixels are."""
    return np.arange(40, 60), np.full(20, 77)


def truth(shape=(300, 340)):
    """The masks (14, H, W) that the stand-in network has to give."""
    masks = np.zeros((14, *shape), np.uint8)
    masks[0][hits()] = 1
    masks[1][dead()] = 1
    masks[13] = 1 - masks[0] - masks[1]
    return masks


def field(shape, level=1000.0, noise=10.0, seed=0):
    """Flat sky with noise and one star in 200 pixels."""
    rng = np.random.default_rng(seed)
    image = rng.normal(level, noise, shape)
    image[rng.random(shape) < 0.005] += 3000
    return image.astype("f4")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path, *images):
    """Write images as HDUs; the first is the primary one."""
    hdus = [fits.PrimaryHDU(images[0]), *(fits.ImageHDU(image) for image in images[1:])]
    fits.HDUList(hdus).writeto(path)
    return Path(path)


def command(name, *arguments, **options):
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, ROOT / f"{name}.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        **options,
    )


def verified(path):
    """Warnings and errors that `fitsverify` finds in a file; none where it is not installed."""
    if not shutil.which("fitsverify"):
        return 0, 0
    told = subprocess.run(["fitsverify", path], capture_output=True, text=True).stdout
    found = re.search(r"found (\d+) warning\(s\) and (\d+) error\(s\)", told)
    return int(found[1]), int(found[2])
