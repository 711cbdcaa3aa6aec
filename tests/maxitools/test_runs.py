"""A list of inputs through all of it, with a network that tells bright pixels."""

import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from conftest import write

from maxitools.inference import mask_strips
from maxitools.inputs import Input
from maxitools.outputs import Output
from maxitools.runs import run
from maxitools.tiling import HaloTiling

RECIPE = SimpleNamespace(tiling=HaloTiling(64, 8, 8), most_pixels=1 << 20)


def rows_of(image):
    return lambda first, last: image[first:last, :, np.newaxis]


def bright(tiles):
    if any((tile.pixels < 0).any() for tile in tiles):
        raise ValueError("pixels\nbelow zero")
    return [(tile.pixels > 100)[tile.inner].astype(np.uint8) for tile in tiles]


class Kept(Output):
    """Masks by HDU and plane, and what else came."""

    def __init__(self):
        super().__init__()
        self.masks, self.copies, self.glances = {}, 0, []

    def copy(self, hdu):
        self.copies += 1

    def begin(self, plane):
        self.masks[(plane.hdu.index, *plane.index)] = np.full(plane.hdu.shape[-2:], 9, np.uint8)
        self.glances.append(plane.glance)

    def add(self, plane, rows, answer):
        self.masks[(plane.hdu.index, *plane.index)][rows] = answer[0]


@pytest.fixture
def process(here):
    """Run paths through all of it, with outputs by path; the exit status."""

    def process(outputs, **more):
        inputs = [Input(name, here / name) for name in outputs]
        answers = partial(mask_strips, recipe=RECIPE, answer=bright)
        return run("test", inputs, rows_of, answers, lambda s: [outputs[s.given]], **more)

    return process


def image(seed, shape=(150, 90)):
    return np.random.default_rng(seed).integers(0, 200, shape).astype("f4")


def test_an_output_gets_every_hdu_and_every_row(process):
    table = fits.BinTableHDU(np.ones(3, "i4,f4"))
    cube = np.stack([image(2), image(3)])
    hdus = [fits.PrimaryHDU(image(1)), table, fits.ImageHDU(cube)]
    fits.HDUList(hdus).writeto("a.fits")
    kept = Kept()
    assert process({"a.fits": kept}, glance=np.max) == 0
    assert kept.copies == 1
    assert kept.glances == [199, 199, 199]
    for key, pixels in {(0,): image(1), (2, 0): image(2), (2, 1): image(3)}.items():
        np.testing.assert_array_equal(kept.masks[key], pixels > 100)


def test_what_an_input_causes_in_the_network_costs_it_alone(process, capsys):
    write("bad.fits", image(1) - 50)
    write("good.fits", image(2))
    kept = {"bad.fits": Kept(), "good.fits": Kept()}
    assert process(kept) == 1
    np.testing.assert_array_equal(kept["good.fits"].masks[(0,)], image(2) > 100)
    assert capsys.readouterr().err == "test: bad.fits: pixels below zero\n"


@pytest.mark.parametrize("method", ["__enter__", "begin", "add", "__exit__"])
def test_what_an_output_meets_costs_its_input_alone(process, capsys, method):
    class Full(Kept):
        pass

    def fails(*_):
        raise OSError("no space left")

    setattr(Full, method, fails)
    write("a.fits", image(1))
    write("b.fits", image(2), image(3))
    kept = {"a.fits": Full(), "b.fits": Kept()}
    assert process(kept) == 1
    np.testing.assert_array_equal(kept["b.fits"].masks[(1,)], image(3) > 100)
    assert capsys.readouterr().err == "test: a.fits: no space left\n"


def test_the_next_input_is_answered_while_an_output_is_busy(process):
    answered = threading.Event()

    def watch(pixels):
        if pixels.max() > 500:
            answered.set()
        return rows_of(pixels)

    class Busy(Kept):
        def __exit__(self, *exception):
            assert answered.wait(10)

    write("a.fits", image(1))
    write("b.fits", image(2) + 600)
    inputs = [Input(name, name) for name in ("a.fits", "b.fits")]
    answers = partial(mask_strips, recipe=RECIPE, answer=bright)
    assert run("test", inputs, watch, answers, lambda _: [Busy()]) == 0
