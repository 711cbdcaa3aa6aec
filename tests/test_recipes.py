"""The recipes of docs/recipes.md, each with the tool that it is for."""

import io
import json
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import ROOT, dead, hits, truth, write
from scipy import ndimage

import maximask
import maxitrack
from maxitools import arrays
from maxitools.classes import NAMES

PAGE = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))


@pytest.fixture
def kitchen(networks, here, sky, monkeypatch):
    """A folder with what the recipes take; commands and Python use the stand-in networks."""
    write("image.fits", sky)
    Path("night").mkdir()
    for number, name in enumerate("abc"):
        image = np.random.default_rng(number).normal(1000, 10, sky.shape).astype("f4")
        image[100 + number, 50:60] = 9000
        write(f"night/{name}.fits", image)
    Path("bin").mkdir()
    for name in ("maximask", "maxitrack"):
        script = Path("bin", name)
        command = f'exec {sys.executable} {ROOT}/{name}.py --net_path {networks} "$@"'
        script.write_text(f"#!/bin/sh\n{command}\n")
        script.chmod(0o755)
    # A link would not know of the packages beside what it leads to.
    Path("bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    Path("bin/python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here / 'bin'}:{Path(sys.executable).parent}", prepend=":")
    Path("shipped").mkdir()
    Path("shipped/model").symlink_to(networks)
    monkeypatch.setattr(arrays, "shipped_folder", lambda: here / "shipped")


def follow(section, *tools):
    """Run the code of a section, and compare what it prints with what the page says."""
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    blocks = re.findall(
        r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", SECTIONS[section], re.S | re.M
    )
    for language, code, expected in blocks:
        if language == "python":
            printed = io.StringIO()
            with redirect_stdout(printed):
                exec(compile(code, section, "exec"), {"__name__": "recipe"})
            printed = printed.getvalue()
        else:
            done = subprocess.run(
                ["bash", "-euc", code], capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, done.stderr
            printed = done.stdout
        assert [line.split() for line in printed.splitlines()] == [
            line.split() for line in expected.splitlines()
        ]


def catalogue(name):
    return np.atleast_2d(np.loadtxt(name))


def test_flags_in_a_catalogue(kitchen):
    follow("Flags in SExtractor's catalogue", "source-extractor")
    objects = catalogue("flags.cat")
    (inner,) = objects[(abs(objects[:, 1] - 151.5) < 1) & (abs(objects[:, 2] - 151) < 1)]
    assert inner[4] == 1
    assert inner[5] >= 2


def test_pixels_without_weight_are_not_detected(kitchen):
    follow("A weight map for SExtractor, SWarp or PSFEx", "source-extractor")
    weight = fits.getdata("image.weight.fits")
    np.testing.assert_array_equal(weight, 1 - truth()[0] - truth()[1])


def test_compressed_masks_are_unpacked(kitchen):
    follow("Compressed masks", "funpack")
    np.testing.assert_array_equal(fits.getdata("unpacked.fits"), truth())


def test_photutils_leaves_out_what_was_found(kitchen):
    # Two hits of 4000 are among the 113 pixels of the first aperture, and none in the second.
    pytest.importorskip("photutils")
    follow("photutils")


@pytest.mark.filterwarnings("ignore")
def test_ccdproc_averages_without_what_was_found(kitchen):
    pytest.importorskip("ccdproc")
    follow("ccdproc")
    mean = fits.getdata("mean.fits")
    assert mean.min() > 900 and mean.max() < 1100


def test_bits_by_their_names(kitchen):
    follow("Bits by their names")


def test_ds9_gets_a_mask_of_ones(kitchen):
    # Its window needs a display: what it is given is looked at here.
    SECTIONS["DS9"] = re.sub(r"^ds9 .*\n", "", SECTIONS["DS9"], flags=re.MULTILINE)
    follow("DS9")
    np.testing.assert_array_equal(fits.getdata("image.bad.fits"), truth()[0] + truth()[1])


def forty_lines(masks, image, path):
    """What a survey did by hand after the mask command, told in its own way."""
    with fits.open(masks) as hdus, fits.open(image) as given:
        made = []
        for mask, original in zip(hdus, given, strict=True):
            if mask.data is None:
                made.append(fits.PrimaryHDU(header=original.header))
                continue
            bad = mask.data != 0
            grown = ndimage.binary_dilation(bad, structure=np.ones((5, 5), bool))
            product = np.zeros(bad.shape, np.uint16)
            product[grown] = 1024
            kind = fits.ImageHDU if made else fits.PrimaryHDU
            made.append(kind(product, original.header))
        fits.HDUList(made).writeto(path)


def test_the_product_of_a_survey(kitchen, sky):
    header = fits.Header({"FILTER": "r", "SEEING": 0.7})
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(sky, header), fits.ImageHDU(sky.T.copy(), header)]
    fits.HDUList(hdus).writeto("tile.fits")
    Path("survey").mkdir()
    lines = "".join(f"{name} {int(name in ('CR', 'TRL', 'BG'))}\n" for name in NAMES)
    Path("survey/classes.flags").write_text(lines)
    follow("One product for each tile of a survey")
    command = "maximask --config_dir survey --single_mask 1 --suffix .mask tile.fits"
    subprocess.run(command.split(), check=True)
    forty_lines("tile.mask.fits", "tile.fits", "by_hand.fits.gz")
    with fits.open("tile.mask.fits.gz") as made, fits.open("by_hand.fits.gz") as by_hand:
        for one, other in zip(made[1:], by_hand[1:], strict=True):
            np.testing.assert_array_equal(one.data, other.data)
            assert one.data.max() == 1024
            assert (one.header["FILTER"], one.header["SEEING"]) == ("r", 0.7)


def test_a_night_on_all_cores(kitchen):
    follow("A night, on all cores", "xargs", "jq")
    for name in "abc":
        assert fits.getdata(f"night/{name}.masks.fits")[0].sum() == 10
    lines = [json.loads(line) for line in Path("night.log").read_text().splitlines()]
    statuses = [line["status"] for line in lines if line["type"] == "file"]
    assert statuses == ["done"] * 3 + ["skipped"] * 3


def test_exposures_that_lost_track(kitchen, sky):
    # To the stand-in network a tile with a bright pixel is a bad one.
    for name in "abc":
        image = np.full(sky.shape, 1000, "f4")
        image[::40, ::40] += 5000 * (name != "c")
        Path(f"night/{name}.fits").unlink()
        write(f"night/{name}.fits", np.random.default_rng(4).normal(image, 10).astype("f4"))
    Path("night.list").write_text("".join(f"night/{name}.fits\n" for name in "abc"))
    follow("Exposures that lost track")
    assert not Path("maxitrack.out").exists()


def test_scripts_for_the_published_commands(kitchen, sky):
    shutil.copy("image.fits", "tile.fits")
    Path("D").mkdir()
    Path("D/classes.flags").write_text("".join(f"{n} {int(n == 'HCL')}\n" for n in NAMES))
    Path("night.list").write_text("night/a.fits\nnight/b.fits\n")
    follow("Scripts for the published commands")
    expected = np.zeros(sky.shape, int)
    expected[dead()] = 2
    np.testing.assert_array_equal(fits.getdata("tile.mask.fits"), expected)
    expected[hits()] = 1
    np.testing.assert_array_equal(fits.getdata("image.masks.fits"), expected)
    assert len(Path("maxitrack.out").read_text().splitlines()) == 2


def test_the_page_on_python(kitchen, sky):
    code = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/python.md").read_text(), re.S | re.M)
    names = {"image": sky}
    for block in code:
        exec(compile(block, "python.md", "exec"), names)
    np.testing.assert_array_equal(names["flags"], truth()[0] + 2 * truth()[1])
    assert not names["ignored"].all()
    assert Path("image.png").exists()


@pytest.mark.parametrize("command", [maximask, maxitrack])
def test_the_page_on_options_has_them_all(command):
    page = (ROOT / "docs/options.md").read_text()
    for action in command._parser()._actions:
        for option in action.option_strings:
            assert f"`{option}`" in page
        valued = action.option_strings and action.nargs != 0
        if valued and isinstance(action.default, int | float | str):
            assert re.search(rf"`{action.option_strings[0]}`.*{action.default}\b", page)


def test_every_recipe_is_followed_here():
    tests = Path(__file__).read_text(encoding="utf-8")
    assert SECTIONS
    assert all(f'"{section}"' in tests for section in SECTIONS)
