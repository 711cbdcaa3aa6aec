"""Nothing lost, nothing silent: what the battery's families do not state by themselves."""

import errno
import gzip
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import ROOT, command, truth, write

import maximask
import maxitrack
from maxitools.inputs import Input, InputError
from maxitools.maskfile import MaskFile
from maxitools.outputs import Verdict


@pytest.fixture
def run(networks, here, capsys):
    """Run a command in an empty directory: its exit status, and the lines that it says."""

    def run(module, *arguments):
        try:
            status = module.main(["--net_path", str(networks), *map(str, arguments)])
        except SystemExit as error:
            status = error.code
        return status, capsys.readouterr().err.splitlines()

    return run


def sparse(path, shape):
    """A file of zeros that takes no space."""
    header = fits.Header([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 2)])
    header.update(NAXIS1=shape[1], NAXIS2=shape[0])
    with open(path, "wb") as file:
        file.write(header.tostring().encode())
        file.truncate(2880 + -(-shape[0] * shape[1] // 2880) * 2880)


def test_impossible_size_costs_no_other_file(run, sky):
    write("a.fits", sky)
    sparse("b.fits", (1_000_000, 1_000_000))
    write("c.fits", sky)
    status, (line,) = run(maximask, ".")
    assert status == 1
    assert line.startswith("maximask: b.fits: HDU 0 is an image of 4000.0 GB, ")
    for name in ("a.masks.fits", "c.masks.fits"):
        np.testing.assert_array_equal(fits.getdata(name), truth())


def test_gzip_is_unpacked_no_further_than_its_headers_say(run, sky):
    whole = write("a.fits", sky).read_bytes()
    Path("a.fits").unlink()
    with gzip.open("b.fits.gz", "wb", 1) as file:
        file.write(whole)
        for _ in range(40):
            file.write(bytes(1 << 20))
    before = os.times()
    for module in (maximask, maxitrack):
        assert run(module, "b.fits.gz") == (
            1,
            [f"{module.__name__}: b.fits.gz: what follows HDU 0 is no HDU"],
        )
    assert os.times().user - before.user < 20


@pytest.mark.parametrize("known", [True, False])
def test_masks_are_whole_on_file_systems_that_take_no_advice(here, monkeypatch, known):
    asked = []

    def refuse(*advice):
        asked.append(advice)
        raise OSError(errno.EINVAL, "Invalid argument")

    if known:
        monkeypatch.setattr(os, "posix_fadvise", refuse, raising=False)
    else:
        monkeypatch.delattr(os, "posix_fadvise", raising=False)
    masks = np.random.default_rng(8).integers(0, 2, (1, 1100, 1000), "u1")
    with MaskFile("a.fits") as file:
        file.append_image(fits.PrimaryHDU(masks).header)
        file.write_rows((0,), 0, masks[0])
    np.testing.assert_array_equal(fits.getdata("a.fits"), masks)
    assert bool(asked) == known


def test_of_two_files_with_one_output_the_good_one_is_done(run, sky):
    write("a.fits", sky)
    shutil.copy("a.fits", "b.fit")
    os.truncate("a.fits", 5000)
    shutil.move("b.fit", "a.fits.fz")
    status, (line,) = run(maximask, ".")
    assert status == 1
    assert line.startswith("maximask: a.fits: HDU 0 is cut")
    np.testing.assert_array_equal(fits.getdata("a.masks.fits"), truth())


@pytest.mark.parametrize("module", [maximask, maxitrack])
def test_any_name_is_said_and_written_on_one_line(run, sky, module):
    names = ["two\nlines.fits", "tab\t.fits", os.fsdecode(b"latin\xe9.fits"), "bell\a.fits"]
    for name in names:
        Path(name).write_text("no FITS file")
    status, lines = run(module, ".")
    assert status == 1
    assert len(lines) == 4 and all(line.endswith(": not a FITS file") for line in lines)
    if module is maxitrack:
        assert Path("maxitrack.out").read_bytes().splitlines() == [
            b"bell\\x07.fits None",
            b"latin\xe9.fits None",
            b"tab\\t.fits None",
            b"two\\nlines.fits None",
        ]


def test_names_that_are_no_text_are_processed_in_any_locale(here, sky, networks):
    name = os.fsdecode(b"latin\xe9.fits")
    write(name, sky)
    Path("x.list").write_bytes(b"# caf\xe9\nlatin\xe9.fits\nlatin\xe9.fits[7]\n")
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for tool in ("maximask", "maxitrack"):
        done = command(tool, "x.list", "--net_path", networks, env={**os.environ, **environment})
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1 and "HDU 7 is out of range" in done.stderr
    np.testing.assert_array_equal(fits.getdata(os.fsdecode(b"latin\xe9.masks.fits")), truth())
    good, bad = Path("maxitrack.out").read_bytes().splitlines()
    assert good.startswith(b"latin\xe9.fits 0.") or good.startswith(b"latin\xe9.fits ")
    assert bad == b"latin\xe9.fits[7] None"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "the path is empty, expected a file, a directory or a list"),
        ("pipe", "pipe: not a regular file"),
        ("/dev/zero", "/dev/zero: not a regular file"),
        ("loop", "loop: cannot be read (Too many levels of symbolic links)"),
    ],
)
def test_path_that_is_no_file_is_refused_at_once(run, given, message):
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    for module in (maximask, maxitrack):
        assert run(module, given) == (2, [f"{module.__name__}: {message}"])


def test_class_file_that_leads_nowhere_is_told(run, sky):
    write("a.fits", sky)
    Path("classes.flags").symlink_to("gone")
    assert run(maximask, "a.fits") == (
        2,
        ["maximask: classes.flags: cannot be read (No such file or directory)"],
    )


def test_place_that_cannot_be_written_is_told_for_each_file(run, sky):
    write("a.fits", sky)
    write("b.fits", sky)
    # Not even root may.
    status, lines = run(maximask, ".", "--out_dir", "/proc/self")
    assert status == 1
    assert lines == [
        f"maximask: {name}: its masks cannot be written (/proc/self: Permission denied)"
        for name in ("a.fits", "b.fits")
    ]
    assert run(maxitrack, ".", "--output", "/proc/self/maxitrack.out") == (
        2,
        ["maxitrack: /proc/self/maxitrack.out: Permission denied"],
    )


def test_output_that_cannot_grow_is_told_before_the_network_is_loaded(run, sky, monkeypatch):
    write("a.fits", sky)
    Path("maxitrack.out").write_text("earlier.fits 0.5\n")
    monkeypatch.setattr("maxitools.network.Network.load", lambda *_: pytest.fail("loaded"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        assert run(maxitrack, "a.fits") == (2, ["maxitrack: maxitrack.out: File too large"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_little_memory_is_told(here, sky, networks):
    write("a.fits", sky)
    for tool in ("maximask", "maxitrack"):
        limited = ["bash", "-c", 'ulimit -v 300000; exec "$@"', "bash", sys.executable]
        done = subprocess.run(
            [*limited, ROOT / f"{tool}.py", "a.fits", "--net_path", networks],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert done.stderr.startswith(f"{tool}: memory is limited to 0.3 GB (ulimit -v)")
        assert done.stderr.count("\n") == 1


def test_more_threads_than_cores_are_no_more_work(run, sky):
    write("a.fits", sky)
    assert run(maximask, "a.fits", "--threads", "99999999") == (0, [])
    np.testing.assert_array_equal(fits.getdata("a.masks.fits"), truth())


def test_no_warning_of_a_library_reaches_the_user(here, networks):
    image = np.full((100, 120), 1e300)
    image[::2] = np.random.default_rng(1).normal(0, 1e-300, (50, 120))
    image[3, 4] = np.nan
    hdu = fits.PrimaryHDU(image)
    hdu.header["DATE-OBS"] = "32/13/99"
    hdu.writeto("a.fits")
    for tool in ("maximask", "maxitrack"):
        done = command(tool, "a.fits", "--net_path", networks)
        assert (done.returncode, done.stderr.count("\n")) in [(0, 0), (1, 1)]


def test_gzip_of_a_giant_image_is_refused_before_it_is_unpacked(run):
    header = fits.Header([("SIMPLE", True), ("BITPIX", 16), ("NAXIS", 2)])
    header.update(NAXIS1=1_000_000, NAXIS2=500_000)
    with gzip.open("a.fits.gz", "wb", 1) as file:
        file.write(header.tostring().encode() + bytes(1 << 20))
    status, (line,) = run(maximask, "a.fits.gz")
    assert status == 1
    assert "HDU 0 unpacks to 1000.0 GB" in line or "an image of 2000.0 GB" in line


def test_a_long_image_of_zeros_takes_no_memory(run):
    sparse("a.fits", (20_000, 20_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run(maxitrack, "a.fits") == (1, ["maxitrack: a.fits: holds no image with data"])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_a_probability_that_is_no_number_is_none_and_told(here):
    source = Input("a.fits", Path("a.fits"))
    with (
        pytest.raises(InputError, match="the network's answer is no number"),
        Verdict("out", source, lambda answers: float("nan")) as verdict,
    ):
        verdict.add(None, slice(0, 1), np.zeros((1, 2)))
    assert Path("out").read_text() == "a.fits None\n"
