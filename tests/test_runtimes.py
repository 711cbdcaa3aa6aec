"""What runs the networks: LiteRT on a CPU, where TensorFlow need not be; TensorFlow on a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import ROOT, command, field, truth, write

import maximask
import maxitrack
from maxitools import networks as finder
from maxitools.graphs import LiteGraph, TensorGraph
from maxitools.tiling import Span, Tile

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib


def shadowed(folder, *names):
    """An environment in which the import of some packages ends the process."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise SystemExit('imported')")
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_commands_do_without_tensorflow_on_a_cpu(here, sky, networks):
    write("a.fits", sky)
    environment = shadowed(here / "shadow", "tensorflow", "keras")
    given = "a.fits", "--net_path", networks, "--device", "cpu"
    for name in ("maximask", "maxitrack"):
        done = command(name, *given, env=environment)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    np.testing.assert_array_equal(fits.getdata("a.masks.fits"), truth())
    assert Path("maxitrack.out").read_text().startswith("a.fits 0.")


def test_a_gpu_that_is_not_there_is_missed_in_one_line(here, sky, networks):
    write("a.fits", sky)
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1"}
    given = "a.fits", "--net_path", networks, "--device", "gpu"
    done = command("maximask", *given, env=environment)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith("maximask: ") and line.endswith(
        "TensorFlow finds no GPU that it can use"
    )


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory):
    """The `bin` of an environment with this project and all that it needs but TensorFlow."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [name for name in project["dependencies"] if not name.startswith("tensorflow")]
    for what in (["--no-deps", str(ROOT)], needed):
        pip = [environment / "bin" / "pip", "install", "--quiet", *what]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode and not os.environ.get("CI"):
            pytest.skip(f"it cannot be installed: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
    return environment / "bin"


def test_default_works_where_tensorflow_is_not_installed(without_tensorflow, here):
    write("a.fits", field((401, 401)))
    for name in ("maximask", "maxitrack"):
        done = subprocess.run([without_tensorflow / name, "a.fits"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
    assert fits.getdata("a.masks.fits").shape == (14, 401, 401)
    (here / "saved_model.pb").write_bytes(b"")
    for asked in (["--net_path", str(here)], ["--device", "gpu"]):
        done = subprocess.run(
            [without_tensorflow / "maximask", "a.fits", *asked], capture_output=True, text=True
        )
        (line,) = done.stderr.splitlines()
        assert done.returncode == 2
        assert line.endswith("TensorFlow, which is not installed: pip install tensorflow")


@pytest.mark.parametrize("gain", [0, 1.5])
@pytest.mark.parametrize("limits", [None, np.array([0.3, 0.9])])
def test_both_graphs_of_the_shipped_network_answer_alike(limits, gain):
    network = finder.find(ROOT / "model", "mask")
    pixels = network.recipe.normalise(field((256, 320)))(0, 256)
    # Not at the edges of blocks, as in images whose sides are odd.
    tile = Tile(pixels, Span(0, 256, 33, 255), Span(0, 320, 0, 251))
    tf = pytest.importorskip("tensorflow")
    graphs = (
        LiteGraph(network.path / "graph.tflite", 64),
        TensorGraph(tf, network.path / "graph.pb", "pixels:0", "logits:0"),
    )
    asked = [13, 0], np.array([0.5, 2.0]), limits, 2, np.array([0, gain])
    (lite,), (full,) = (graph.masks(*asked)([tile]) for graph in graphs)
    assert lite.shape == full.shape == (222, 251, 2)
    if limits is None:
        np.testing.assert_allclose(lite, full, atol=1e-4)
        assert lite.dtype == full.dtype == np.float32
    else:
        assert np.mean(lite != full) < 1e-3
        assert lite.dtype == full.dtype == np.uint8
    assert 0 < lite.mean() < 1


def test_probabilities_depend_on_neither_threads_nor_batch():
    image = field((300, 700))
    first = maximask.probabilities(image, threads=1, batch_size=1, device="cpu")
    for threads in (2, 3):
        again = maximask.probabilities(image, threads=threads, batch_size=4, device="cpu")
        np.testing.assert_array_equal(first, again)


def test_tracking_depends_on_neither_threads_nor_batch():
    image = field((300, 4200))
    first = maxitrack.probability(image, threads=1, batch_size=1, device="cpu")
    for threads in (2, 3):
        assert maxitrack.probability(image, threads=threads, batch_size=4, device="cpu") == first
