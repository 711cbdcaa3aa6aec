"""The log of runs: whole lines with what happened to each HDU and each file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import ROOT, truth, write

import maximask
import maxitrack


@pytest.fixture
def run(networks, here):
    """Run a command with a log; its exit status and the log's lines."""

    def run(command, *arguments):
        arguments = ["--net_path", str(networks), "--log", "night.log", *map(str, arguments)]
        status = command.main(arguments)
        return status, [json.loads(line) for line in Path("night.log").read_text().splitlines()]

    return run


def exposure(sky):
    """Two detectors, one of them zero in part, and a table."""
    primary = fits.PrimaryHDU()
    primary.header.update({"DATE-OBS": "2026-03-04T05:06:07", "FILTER": "r", "EXPTIME": 30.0})
    first = fits.ImageHDU(sky, fits.Header({"FILTER": "i"}), name="N1")
    second = fits.ImageHDU(np.stack([sky, sky, np.zeros_like(sky)]), name="N2")
    table = fits.BinTableHDU(np.ones(3, "i4,f4"))
    return fits.HDUList([primary, first, table, table.copy(), second])


def test_each_hdu_and_each_file_has_a_line(run, sky, here):
    exposure(sky).writeto("a.fits")
    status, (first, second, file) = run(maximask, "a.fits")
    assert status == 0
    common = {"command": "maximask", "path": "a.fits", "file": str(here / "a.fits")}
    for line in (first, second, file):
        assert line.items() >= common.items()
    exposed = {"date_obs": "2026-03-04T05:06:07", "exptime": 30.0, "network": first["network"]}
    named = {"type": "hdu", "hdu": 1, "extname": "N1", "shape": [300, 340], "filter": "i"}
    assert first.items() >= {**exposed, **named}.items()
    named = {"type": "hdu", "hdu": 4, "extname": "N2", "shape": [3, 300, 340], "filter": "r"}
    assert second.items() >= {**exposed, **named}.items()
    shares = truth().mean((1, 2))
    np.testing.assert_allclose(list(first["shares"].values()), shares)
    np.testing.assert_allclose(list(second["shares"].values()), shares * 2 / 3)
    assert list(first["shares"])[:2] == ["CR", "HCL"]
    masks = str(here / "a.masks.fits")
    assert (file["type"], file["status"], file["output"]) == ("file", "done", masks)
    assert (file["message"], file["preview"]) == (None, None)


def test_identical_tables_are_both_copied(run, sky):
    exposure(sky).writeto("a.fits")
    run(maximask, "a.fits")
    with fits.open("a.masks.fits") as masks:
        assert [hdu.name for hdu in masks] == ["PRIMARY", "N1", "", "", "N2"]


def test_probabilities_have_no_shares(run, sky):
    write("a.fits", sky)
    _, (hdu, _) = run(maximask, "a.fits", "--proba_thresh", "no")
    assert "shares" not in hdu


def test_tracking_tells_the_probability_of_each_hdu(run, sky, here):
    write("a.fits", sky[:128, :128], np.zeros((9, 9), "f4"))
    status, (first, second, file) = run(maxitrack, "a.fits")
    assert status == 0
    assert first["probability"] == file["probability"] > 0.1
    assert second["probability"] is None
    assert file["output"] == str(here / "maxitrack.out")
    assert first["command"] == "maxitrack"


@pytest.mark.parametrize("command", [maximask, maxitrack])
def test_a_failure_tells_why(run, sky, command):
    Path("text.fits").write_text("no FITS file")
    write("good.fits", sky)
    Path("x.list").write_text("text.fits\ngood.fits\n")
    status, (failed, _, done) = run(command, "x.list")
    assert status == 1
    assert (failed["status"], done["status"]) == ("failed", "done")
    assert failed["message"].startswith("not a FITS file")
    assert failed["output"] is None


@pytest.mark.parametrize("command", [maximask, maxitrack])
def test_a_log_that_cannot_be_written_is_a_usage_error(run, sky, capsys, command):
    write("a.fits", sky)
    with pytest.raises(SystemExit, match="2"):
        run(command, "a.fits", "--log", "gone/night.log")
    assert "gone/night.log: cannot be made (No such file" in capsys.readouterr().err
    assert not Path("a.masks.fits").exists()


WRITER = """
import sys
from pathlib import Path
from maxitools.inputs import Input
from maxitools.log import Log

log = Log("night.log", "maximask", "shipped")
for i in range(100):
    hdus = [{"hdu": n, "text": "x" * 3000} for n in range(3)]
    log.write(Input(f"{sys.argv[1]}/{i}", Path("a.fits")), "done", hdus)
"""


def test_lines_of_sixteen_processes_stay_whole(here):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(n)], env=environment) for n in range(16)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 16
    lines = [json.loads(line) for line in Path("night.log").read_text().splitlines()]
    assert len(lines) == 16 * 100 * 4
    assert len({line["path"] for line in lines if line["type"] == "file"}) == 1600
