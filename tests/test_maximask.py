"""The mask command: what a user gets for what a user gives."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS
from conftest import ROOT, command, truth, verified, write
from PIL import Image
from scipy import ndimage

import maximask
from maxitools.classes import NAMES
from maxitools.pictures import LINES


@pytest.fixture
def run(networks, here):
    """Run the command in an empty directory; the exit status."""

    def run(*arguments):
        try:
            return maximask.main(["--net_path", str(networks), *map(str, arguments)])
        except SystemExit as error:
            return error.code

    return run


def exposure(sky):
    """A file with an empty primary, a table, two images, a 1-D image and a 4-D cube."""
    header = fits.Header()
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=210.5, CRVAL2=54.25)
    header.update(CRPIX1=170.0, CRPIX2=150.0, CD1_1=-1e-4, CD1_2=2e-6, CD2_1=2e-6, CD2_2=1e-4)
    header.update(FILTER="r", BUNIT="adu", GAIN=1.5)
    primary = fits.PrimaryHDU()
    primary.header.update(OBJECT="M101", EXPTIME=60.0)
    table = fits.BinTableHDU(np.array([(1, 2.5), (2, np.nan)], "i4,f8"), name="STARS")
    first = fits.ImageHDU(sky, header, name="CCD", ver=1)
    second = fits.ImageHDU(sky[::-1], name="CCD", ver=2)
    line, cube = fits.ImageHDU(np.arange(9.0)), fits.ImageHDU(np.ones((2, 2, 3, 4), "i2"))
    return fits.HDUList([primary, table, first, second, line, cube])


def test_structure_is_mirrored_and_other_hdus_are_copied(run, sky):
    exposure(sky).writeto("a.fits", checksum=True)
    assert run("a.fits") == 0
    with fits.open("a.fits") as given, fits.open("a.masks.fits", checksum=True) as masks:
        masks.verify("exception")
        assert [(h.name, h.ver) for h in masks] == [(h.name, h.ver) for h in given]
        assert [type(h) for h in masks] == [type(h) for h in given]
        for index in (0, 1, 4, 5):
            assert repr(masks[index].header) == repr(given[index].header)
        assert masks[1].data.tobytes() == given[1].data.tobytes()
        np.testing.assert_array_equal(masks[5].data, given[5].data)
        np.testing.assert_array_equal(masks[2].data, truth())
        np.testing.assert_array_equal(masks[3].data, truth()[:, ::-1])
        assert masks[2].data.dtype == np.uint8


def test_a_wcs_that_counts_its_axes_is_carried(run, sky):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    fits.writeto("a.fits", sky, wcs.to_header())
    assert run("a.fits") == 0
    mask = fits.getheader("a.masks.fits")
    assert mask["WCSAXES"] == 3
    assert WCS(mask).celestial.wcs.compare(WCS(fits.getheader("a.fits")).wcs)


def test_wcs_and_identity_are_carried(run, sky):
    exposure(sky).writeto("a.fits")
    assert run("a.fits") == 0
    given, mask = fits.getheader("a.fits", 2), fits.getheader("a.masks.fits", 2)
    assert (mask["FILTER"], mask["GAIN"]) == ("r", 1.5)
    assert "BUNIT" not in mask
    pixels = np.array([[0, 0], [339, 299], [100, 250]])
    expected = WCS(given).wcs_pix2world(pixels, 0)
    np.testing.assert_allclose(WCS(mask).celestial.wcs_pix2world(pixels, 0), expected)
    np.testing.assert_allclose(WCS(mask, naxis=2).wcs_pix2world(pixels, 0), expected)


def test_one_hdu_goes_to_the_primary_of_its_own_file(run, sky):
    exposure(sky).writeto("a.fits")
    assert run("a.fits[3]") == 0
    with fits.open("a.masks3.fits") as masks:
        assert len(masks) == 1
        np.testing.assert_array_equal(masks[0].data, truth()[:, ::-1])
        assert masks[0].header["OBJECT"] == "M101"
    assert not Path("a.masks.fits").exists()


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_every_pixel_type_gives_the_same_masks(run, sky, dtype):
    image = np.rint(sky / 40 if dtype == "u1" else sky).clip(0, None)
    write("a.fits", image.astype(dtype))
    assert run("a.fits") == 0
    mask = fits.getdata("a.masks.fits")
    np.testing.assert_array_equal(mask[0], truth()[0])


def test_nan_counts_as_zero_and_blank_integers_too(run, sky):
    blank = np.rint(sky).astype("i2")
    blank[200:203, 30:35] = -1
    sky[200:203, 30:35] = np.nan
    write("nan.fits", sky)
    hdu = fits.PrimaryHDU(blank)
    hdu.header["BLANK"] = -1
    hdu.writeto("blank.fits")
    zero = np.nan_to_num(sky)
    write("zero.fits", zero)
    assert run(".") == 0
    expected = fits.getdata("zero.masks.fits")
    assert expected[1, 200:203, 30:35].all()
    np.testing.assert_array_equal(fits.getdata("nan.masks.fits"), expected)
    np.testing.assert_array_equal(fits.getdata("blank.masks.fits"), expected)


def test_image_of_zeros_gives_a_mask_of_zeros(run):
    write("a.fits", np.zeros((50, 60), "f4"))
    assert run("a.fits") == 0
    mask = fits.getdata("a.masks.fits")
    assert mask.shape == (14, 50, 60)
    assert not mask.any()


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (33, 65)])
def test_images_smaller_than_a_tile(run, shape):
    image = np.random.default_rng(3).normal(1000, 10, shape).astype("f4")
    image[0, -1] += 5000
    write("a.fits", image)
    assert run("a.fits") == 0
    mask = fits.getdata("a.masks.fits")
    assert mask.shape == (14, *shape)
    assert shape == (1, 1) or mask[0].sum() == mask[0, 0, -1] == 1


def test_cube_is_masked_plane_by_plane(run, sky):
    write("a.fits", np.stack([sky, np.zeros_like(sky), sky[::-1]]))
    assert run("a.fits") == 0
    mask = fits.getdata("a.masks.fits")
    assert mask.shape == (14, 3, 300, 340)
    np.testing.assert_array_equal(mask[:, 0], truth())
    np.testing.assert_array_equal(mask[:, 2], truth()[:, ::-1])
    assert not mask[:, 1].any()


def test_compressed_and_zipped_files(run, sky):
    hdus = [fits.PrimaryHDU(), fits.CompImageHDU(np.rint(sky).astype("i2"), name="CCD")]
    fits.HDUList(hdus).writeto("a.fits.fz")
    write("b.fits", sky, sky[::-1])
    with gzip.open("b.fits.gz", "wb") as zipped:
        zipped.write(Path("b.fits").read_bytes())
    Path("b.fits").unlink()
    assert run(".") == 0
    with fits.open("a.masks.fits") as masks:
        assert [h.name for h in masks] == ["PRIMARY", "CCD"]
        np.testing.assert_array_equal(masks[1].data, truth())
    with fits.open("b.masks.fits") as masks:
        np.testing.assert_array_equal(masks[0].data, truth())
        np.testing.assert_array_equal(masks[1].data, truth()[:, ::-1])


def test_single_mask_joins_the_selected_classes(run, sky):
    write("a.fits", sky)
    assert run("a.fits", "--single_mask", "YES") == 0
    mask, header = fits.getdata("a.masks.fits", header=True)
    np.testing.assert_array_equal(mask, 1 * truth()[0] + 2 * truth()[1])
    assert mask.dtype.newbyteorder("=") == np.int16
    assert (header["CR"], header.comments["CR"]) == (1, "Cosmic Rays mask value")
    assert (header["BG"], header["HCL_PR"], header["HCL_TH"]) == (0, 0.1, 0.5)
    assert (header["MP_CR"], header["MP_HCL"], header["MP_BBG"]) == (0, 1, 12)
    assert "MP_BG" not in header and "MM_GROW" not in header


def test_classes_are_chosen_on_the_command_line_too(run, sky):
    write("a.fits", sky)
    files = {"few": ("HCL", "CR", "TRL"), "most": tuple(n for n in NAMES if n not in ("BBG", "BG"))}
    for folder, wanted in files.items():
        Path(folder).mkdir()
        lines = "".join(f"{name} {int(name in wanted)}\n" for name in NAMES)
        Path(folder, "classes.flags").write_text(lines)
    for folder, text in {"few": "HCL,STL,CR", "most": "all,-BBG,-BG"}.items():
        assert run("a.fits", "--config_dir", folder, "--suffix", ".files") == 0
        assert run("a.fits", "--classes", text) == 0
        by_file, header = fits.getdata("a.files.fits", header=True)
        by_text, other = fits.getdata("a.masks.fits", header=True)
        np.testing.assert_array_equal(by_file, by_text)
        for key in (f"M{i}" for i in range(len(by_file))):
            assert header[key] == other[key]


def test_folder_of_class_files_may_lack_some_and_goes_before_the_working_directory(run, sky):
    write("a.fits", sky)
    Path("classes.flags").write_text("nothing that is read")
    Path("here").mkdir()
    Path("here/classes.thresh").write_text("".join(f"{n} {int(n == 'CR')}\n" for n in NAMES))
    assert run("a.fits", "--config_dir", "here", "--single_mask", "1") == 0
    mask, header = fits.getdata("a.masks.fits", header=True)
    assert (header["CR_TH"], header["HCL_TH"], header["CR_PR"]) == (1, 0, 0.1)
    assert not (mask & 1).any()
    assert (mask & 2).all()


def around(mask, distance):
    """The pixels at most so many rows and columns from one in the mask."""
    grown = np.zeros_like(mask)
    for row, column in np.argwhere(mask):
        rows = slice(max(row - distance, 0), row + distance + 1)
        grown[rows, max(column - distance, 0) : column + distance + 1] = 1
    return grown


@pytest.mark.parametrize("distance", [1, 2, 40, 1000])
def test_classes_are_grown_but_the_background_is_not(run, sky, distance):
    write("a.fits", sky, sky[::-1])
    assert run("a.fits", "--grow", distance) == 0
    for index, expected in enumerate((truth(), truth()[:, ::-1])):
        mask, header = fits.getdata("a.masks.fits", index, header=True)
        np.testing.assert_array_equal(mask[0], around(expected[0], distance))
        np.testing.assert_array_equal(mask[1], around(expected[1], distance))
        np.testing.assert_array_equal(mask[2:], expected[2:])
        assert header["MM_GROW"] == distance


@pytest.mark.parametrize(("value", "bits"), [(1, 8), (255, 8), (1024, 16), (40000, 32)])
def test_one_value_marks_what_is_in_any_chosen_class(run, sky, value, bits):
    write("a.fits", sky)
    assert run("a.fits", "--flag_value", value, "--grow", 2, "--classes", "CR,TRL,BG") == 0
    mask, header = fits.getdata("a.masks.fits", header=True)
    np.testing.assert_array_equal(mask, value * around(truth()[0], 2).astype("i4"))
    assert (header["BITPIX"], header["CR"], header["BG"]) == (bits, value, 0)
    assert "MP_CR" not in header


def test_probabilities_are_modified_and_thresholded_as_asked(run, sky, networks):
    write("a.fits", sky)
    raw = maximask.probabilities(sky, networks)
    np.testing.assert_array_equal((raw > 0.5), truth())
    assert run("a.fits", "--proba_thresh", "n", "--prior_modif", "f") == 0
    mask, header = fits.getdata("a.masks.fits", header=True)
    np.testing.assert_array_equal(mask, raw)
    assert "PRIOR" in header and "THRESH" in header and "M0_PR" not in header
    Path("classes.priors").write_text(
        "".join(f"{n} {1e-06 if n == 'CR' else 0.1}\n" for n in NAMES)
    )
    assert run("a.fits", "--proba_thresh", "0") == 0
    mask, header = fits.getdata("a.masks.fits", header=True)
    factor = 0.1 / 0.9 * (1 - 1e-6) / 1e-6
    np.testing.assert_allclose(mask[0], raw[0] / (raw[0] + factor * (1 - raw[0])), rtol=1e-5)
    np.testing.assert_array_equal(mask[1], raw[1])
    assert mask.dtype.newbyteorder("=") == np.float32
    assert header["M0_PR"] == 1e-6 and "1E-06" in repr(header)
    assert "M0_TH" not in header


def test_class_files_select_and_threshold(run, sky):
    write("a.fits", sky)
    Path("classes.flags").write_text("".join(f"{n} {int(n in ('HCL', 'CR'))}\n" for n in NAMES))
    Path("classes.thresh").write_text("".join(f"{n} {int(n == 'CR')}\n" for n in NAMES))
    assert run("a.fits") == 0
    mask, header = fits.getdata("a.masks.fits", header=True)
    assert mask.shape == (2, 300, 340)
    # Nothing is above a threshold of 1, all is above one of 0.
    assert not mask[0].any()
    assert mask[1].all()
    assert (
        header["M0"] == "CR: Cosmic Rays" and header["M1"].startswith("HCL") and "M2" not in header
    )


def test_header_tells_how_the_mask_was_made(run, sky):
    write("a.fits", sky)
    assert run("a.fits") == 0
    header = fits.getheader("a.masks.fits")
    assert [header[f"M{i}"].partition(":")[0] for i in range(14)] == list(NAMES)
    assert (header["M13_PR"], header["M13_TH"]) == (0.1, 0.5)
    assert header["MM_TF_V"].startswith({"CPU": "LiteRT ", "GPU": "2."}[header["MM_HBACK"]])
    assert "MM_UTC" in header and "MM_LOC" in header
    assert "PRIOR" not in header and "THRESH" not in header


def test_masks_do_not_depend_on_the_batch(run, sky):
    write("a.fits", sky)
    for size in (1, 3, 8):
        assert run("a.fits", "--proba_thresh", "no", "--batch_size", size) == 0
        Path("a.masks.fits").rename(f"{size}.part")
    first, *others = (Path(f"{size}.part") for size in (1, 3, 8))
    for other in others:
        np.testing.assert_array_equal(fits.getdata(first), fits.getdata(other))


def test_bad_files_are_reported_and_the_rest_is_done(run, sky, capsys):
    write("good.fits", sky)
    Path("text.fits").write_text("no FITS file at all\n" * 500)
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(np.ones(3, "i4,f4"))]).writeto("table.fits")
    whole = write("cut.fits", sky).read_bytes()
    Path("cut.fits").write_bytes(whole[: len(whole) // 2])
    Path("x.list").write_text(
        "gone.fits\ntext.fits\ntable.fits\ncut.fits\ngood.fits[4]\ngood.fits\n"
    )
    assert run("x.list") == 1
    np.testing.assert_array_equal(fits.getdata("good.masks.fits"), truth())
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    for line, expected in zip(
        lines,
        [
            "gone.fits: No such file",
            "text.fits: not a FITS file",
            "table.fits: holds no 2-D image",
            "cut.fits: HDU 0 is cut: 408000 bytes of data promised",
            "good.fits[4]: HDU 4 is out of range, the file has HDUs 0 to 0",
        ],
        strict=True,
    ):
        assert expected in line
    assert sorted(p.name for p in Path().iterdir() if "masks" in p.name) == ["good.masks.fits"]


def test_table_asked_for_by_number_is_an_error(run, sky, capsys):
    exposure(sky).writeto("a.fits")
    assert run("a.fits[1]") == 1
    assert "a.fits[1]: HDU 1 holds no 2-D image" in capsys.readouterr().err


def test_two_inputs_with_one_output_are_not_mixed(run, sky, capsys):
    write("a.fits", sky)
    shutil.copy("a.fits", "a.fit")
    assert run(".") == 1
    assert "a.fits: its masks would replace those of a.fit" in capsys.readouterr().err
    assert Path("a.masks.fits").exists()


def test_a_file_listed_twice_in_a_row_has_its_masks_once(run, sky):
    write("a.fits", sky)
    Path("x.list").write_text("a.fits\na.fits\n./a.fits\n")
    assert run("x.list") == 0
    with fits.open("a.masks.fits") as hdus:
        assert len(hdus) == 1
        np.testing.assert_array_equal(hdus[0].data, truth())


def test_output_goes_where_it_is_asked(run, sky):
    write("a.fits", sky)
    assert run("a.fits", "--out_dir", "new/masks") == 0
    np.testing.assert_array_equal(fits.getdata("new/masks/a.masks.fits"), truth())
    assert not Path("a.masks.fits").exists()


def test_suffix_gives_the_names_of_the_published_command(run, sky):
    exposure(sky).writeto("a.fits")
    for path in ("a.fits", "a.fits[3]", "."):
        assert run(path, "--suffix", ".mask") == 0
    assert sorted(p.name for p in Path().iterdir()) == ["a.fits", "a.mask.fits", "a.mask3.fits"]
    np.testing.assert_array_equal(fits.getdata("a.mask3.fits"), truth()[:, ::-1])


def test_masks_are_compressed_and_zipped_as_asked(run, sky):
    exposure(sky).writeto("a.fits")
    assert run("a.fits") == 0
    forms = {
        "a.masks.fits.fz": ["--compress"],
        "a.flags.fits.fz": ["--suffix", ".flags.fits.fz"],
        "a.masks.fits.gz": ["--suffix", ".masks.gz"],
        "a.masks2.fits.gz": ["--suffix", ".masks.fits.gz"],
    }
    for name, arguments in forms.items():
        path = "a.fits[2]" if name.startswith("a.masks2") else "a.fits"
        assert run(path, *arguments, "--preview") == 0
        with fits.open(name) as made, fits.open("a.masks.fits") as plain:
            assert len(made) == (1 if path == "a.fits[2]" else len(plain))
            mask, expected = made["CCD", 1], plain["CCD", 1]
            np.testing.assert_array_equal(mask.data, expected.data)
            assert WCS(mask.header).celestial.wcs.compare(WCS(expected.header).celestial.wcs)
            assert mask.header["M13"] == expected.header["M13"]
    assert {path.name for path in Path().glob("*.png")} == {
        "a.masks.png",
        "a.masks2.png",
        "a.flags.png",
    }
    before = {name: Path(name).stat().st_mtime_ns for name in forms}
    for arguments in forms.values():
        assert run(".", *arguments, "--skip_existing") == 0
    assert {name: Path(name).stat().st_mtime_ns for name in forms} == before


def stamps():
    return {path.name: path.stat().st_mtime_ns for path in Path().glob("*.masks.fits")}


def test_masks_that_are_there_are_left_alone(run, sky, capsys):
    for name in ("a.fits", "b.fits", "c.fits"):
        write(name, sky)
    assert run(".") == 0
    before = stamps()
    assert run(".", "--skip_existing", "-v") == 0
    assert stamps() == before
    assert "b.fits: done before, in b.masks.fits" in capsys.readouterr().err
    # Of a newer image, and cut off.
    os.utime("b.fits")
    Path("c.masks.fits").write_bytes(Path("c.masks.fits").read_bytes()[:-2880])
    assert run(".", "--skip_existing", "--log", "log") == 0
    after = stamps()
    assert after["a.masks.fits"] == before["a.masks.fits"]
    for name in ("b.masks.fits", "c.masks.fits"):
        assert after[name] > before[name]
        np.testing.assert_array_equal(fits.getdata(name), truth())
    lines = [json.loads(line) for line in Path("log").read_text().splitlines()]
    status = {line["path"]: line["status"] for line in lines if line["type"] == "file"}
    assert status == {"a.fits": "skipped", "b.fits": "done", "c.fits": "done"}


def test_a_run_that_was_killed_goes_on(run, networks, here):
    names = [f"{n:03}" for n in range(200)]
    noise = np.random.default_rng(8)
    for name in names:
        image = noise.normal(1000, 10, (40, 50)).astype("f4")
        image[noise.integers(40), noise.integers(50)] = 5000
        write(f"{name}.fits", image)
    for killed in range(2):
        arguments = [".", "--net_path", networks, "--skip_existing", "--threads", "1"]
        process = subprocess.Popen([sys.executable, ROOT / "maximask.py", *map(str, arguments)])
        begun = len(stamps())
        while process.poll() is None and len(stamps()) < begun + 10 + 30 * killed:
            time.sleep(0.001)
        process.kill()
        process.wait()
        assert begun < len(stamps()) < 200
    assert run(".", "--skip_existing") == 0
    assert run(".", "--out_dir", "whole") == 0
    assert sorted(stamps()) == [f"{name}.masks.fits" for name in names]
    for name in names:
        done = fits.getdata(f"{name}.masks.fits")
        np.testing.assert_array_equal(done, fits.getdata(f"whole/{name}.masks.fits"))
        assert done[0].any()


def test_folder_that_cannot_be_written_fails_in_one_line(run, sky, capsys):
    write("a.fits", sky)
    Path("file").touch()
    assert run("a.fits", "--out_dir", "file/out") == 2
    assert "file/out: cannot be made" in capsys.readouterr().err


def test_earlier_masks_stay_when_a_run_fails(run, sky):
    whole = write("a.fits", sky, sky).read_bytes()
    assert run("a.fits") == 0
    before = Path("a.masks.fits").read_bytes()
    Path("a.fits").write_bytes(whole[:-200000])
    assert run("a.fits") == 1
    assert Path("a.masks.fits").read_bytes() == before
    assert sorted(p.name for p in Path().iterdir()) == ["a.fits", "a.masks.fits"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.fits"], "gone.fits: no such file"),
        (["a.fits", "--single_mask", "1", "--proba_thresh", "0"], "contradicts"),
        (["a.fits", "--compress", "--suffix", ".m.gz"], "contradicts --suffix .fits.gz"),
        (["a.fits", "--suffix", ".fits.gz"], "expected a suffix with a letter"),
        (["a.fits", "--grow", "2", "--proba_thresh", "0"], "--grow needs thresholded maps"),
        (["a.fits", "--flag_value", "2", "--proba_thresh", "0"], "--flag_value needs thresholded"),
        (["a.fits", "--flag_value", "2", "--single_mask", "1"], "contradicts --single_mask"),
        (["a.fits", "--grow", "-1"], "expected a whole number from 0, found '-1'"),
        (["a.fits", "--classes", "CR,X"], "unknown class 'X', expected all or some of CR,HCL"),
        (["a.fits", "--classes", "CR,-CR"], "no class is selected"),
        (["a.fits", "--config_dir", "gone"], "gone: no such folder"),
        (["a.fits", "--prior_modif", "maybe"], "expected yes or no, found 'maybe'"),
        (["a.fits", "--batch_size", "0"], "expected a whole number above 0, found '0'"),
        (["a.fits", "--net_path", "gone"], "gone: no such network directory"),
        (["a.fits", "--net_path", "."], "holds no network for maximask"),
        (["a.fits", "--suffix", ""], "expected a suffix with a letter and without a slash"),
        (["a.fits", "--suffix", "masks/a"], "without a slash, found 'masks/a'"),
        ([], "im_path"),
    ],
)
def test_usage_errors_exit_with_two(run, sky, capsys, arguments, message):
    write("a.fits", sky)
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not Path("a.masks.fits").exists()


def test_a_missing_path_takes_one_line(run, capsys):
    assert run("gone.fits") == 2
    assert capsys.readouterr().err == "maximask: gone.fits: no such file or directory\n"


def test_broken_class_file_is_a_usage_error(run, sky, capsys):
    write("a.fits", sky)
    Path("classes.thresh").write_text("CR 0.5\nHCL high\n")
    assert run("a.fits") == 2
    assert "classes.thresh, line 2: expected a number from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["graph", "json", "task"])
def test_damaged_network_is_named(run, sky, networks, capsys, damage):
    write("a.fits", sky)
    shutil.copytree(networks / "maximask", "net")
    if damage == "graph":
        for graph in Path("net").glob("graph.*"):
            graph.write_bytes(b"no graph")
    elif damage == "json":
        Path("net/network.json").write_text("{")
    else:
        shutil.copy(networks / "maxitrack/network.json", "net/network.json")
    assert run("a.fits", "--net_path", "net") == 2
    assert "maximask: net" in capsys.readouterr().err.splitlines()[-1]


def test_steps_and_rates_are_told_on_request(run, sky, capsys):
    write("a.fits", sky)
    assert run("a.fits", "-v") == 0
    told = capsys.readouterr().err
    for step in ("loaded in", "a.fits: 0.10 MPix", "normalise", "network", "write", "MPix/s"):
        assert step in told


def test_help_and_usage_errors_need_no_tensorflow(here):
    shadow = here / "shadow"
    for name in ("tensorflow", "astropy", "numpy"):
        (shadow / name).mkdir(parents=True)
        (shadow / name / "__init__.py").write_text("raise SystemExit('imported')")
    environment = {**os.environ, "PYTHONPATH": str(shadow)}
    answers = {"--help": (0, "usage: {} [-h] [--net_path NET_PATH]"), "gone.fits": (2, "{}: gone")}
    for argument, (status, answer) in answers.items():
        for name in ("maximask", "maxitrack"):
            done = command(name, argument, env=environment)
            assert done.returncode == status
            assert answer.format(name) in done.stdout + done.stderr


def test_symbolic_link_to_the_script_is_silent_and_needs_no_more(here, sky, networks):
    write("a.fits", sky)
    Path("maximask").symlink_to(ROOT / "maximask.py")
    done = subprocess.run(
        [sys.executable, "maximask", "a.fits", "--net_path", networks, "--threads", "1"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    np.testing.assert_array_equal(fits.getdata("a.masks.fits"), truth())


def test_a_picture_in_python_shows_what_was_found(sky):
    masks = np.zeros((2, *sky.shape), np.uint8)
    plain = maximask.draw(sky, masks, ["CR", "HCL"], name="sky.fits")
    masks[1, 100:200, 120] = 1
    marked = maximask.draw(sky, masks, ["CR", "HCL"], name="sky.fits")
    colours = {colour for _, colour in marked.convert("RGB").getcolors(1 << 24)}
    assert LINES["HCL"][0] in colours and LINES["CR"][0] not in colours
    assert all(r == g == b for _, (r, g, b) in plain.convert("RGB").getcolors(1 << 24))


def test_flags_of_nddata_are_drawn_as_the_masks_are(sky):
    masks = np.zeros((14, *sky.shape), np.uint8)
    masks[NAMES.index("CR"), 20:30, 40] = masks[NAMES.index("OV"), :, :9] = 1
    header = fits.Header({"DATE-OBS": "2026-01-01T00:00:00"})
    image = CCDData(sky, unit="adu", meta=header)
    image.flags = np.zeros(sky.shape, np.int16)
    image.flags[20:30, 40] = maximask.FLAGS.CR
    image.flags[:, :9] += maximask.FLAGS.OV
    assert maximask.draw(image) == maximask.draw(sky, masks, header=header)
    with pytest.raises(ValueError, match="no masks to draw"):
        maximask.draw(sky)


@pytest.fixture
def two_detectors(here, sky):
    """A file of two images that tell of their exposure in the primary header."""
    image = fits.ImageHDU(sky, fits.Header({"EXTNAME": "CCD1"}))
    primary = fits.PrimaryHDU(header=fits.Header({"DATE-OBS": "2026-01-01", "EXPTIME": 60.0}))
    fits.HDUList([primary, image, fits.ImageHDU(sky)]).writeto("two.fits")
    return here


def coloured(path, name):
    """Whether the line of a class is in a picture."""
    colours = Image.open(path).convert("RGB").getcolors(1 << 24)
    return LINES[name][0] in {colour for _, colour in colours}


def test_a_preview_lies_beside_the_masks_and_shows_what_was_found(run, two_detectors):
    assert run("two.fits", "--preview", "--log", "night.log") == 0
    assert coloured("two.masks.png", "CR") and coloured("two.masks.png", "HCL")
    assert not coloured("two.masks.png", "TRL")
    line = json.loads(Path("night.log").read_text().splitlines()[-1])
    assert line["preview"] == str(two_detectors / "two.masks.png")


def test_previews_go_where_the_masks_go(run, two_detectors):
    arguments = "--preview", "--out_dir", "out", "--suffix", ".bad", "--single_mask", "yes"
    assert run("two.fits[2]", *arguments) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["two.bad2.fits", "two.bad2.png"]


def test_the_planes_of_a_cube_lie_side_by_side_in_its_preview(run, here, sky):
    write("cube.fits", np.stack([sky] * 4))
    write("plane.fits", sky)
    assert run(".", "--preview") == 0
    cube, plane = (
        np.array(Image.open(f"{name}.masks.png").convert("RGB")) for name in ("cube", "plane")
    )
    hits = [(picture == LINES["CR"][0]).all(-1) for picture in (cube, plane)]
    # Those of the legend are alike in both; pixels of the lone plane are larger.
    assert (
        ndimage.label(hits[0], np.ones((3, 3)))[1] > 2 * ndimage.label(hits[1], np.ones((3, 3)))[1]
    )


def test_masks_are_the_same_with_a_preview(run, two_detectors):
    run("two.fits", "--out_dir", "without")
    run("two.fits", "--out_dir", "with", "--preview")
    for hdu in (1, 2):
        one, other = (
            fits.getdata(f"{folder}/two.masks.fits", hdu) for folder in ("without", "with")
        )
        assert np.array_equal(one, other)


def test_a_preview_that_fails_costs_a_line_and_no_mask(run, two_detectors, capsys):
    Path("two.masks.png").mkdir()
    assert run("two.fits", "--preview", "--log", "night.log") == 0
    said = capsys.readouterr().err
    assert said.startswith("maximask: two.masks.png: cannot be drawn (") and said.count("\n") == 1
    assert fits.getdata("two.masks.fits", 1).any()
    assert json.loads(Path("night.log").read_text().splitlines()[-1])["preview"] is None


def test_a_file_that_fails_leaves_no_preview(run, two_detectors):
    whole = Path("two.fits").read_bytes()
    Path("two.fits").write_bytes(whole[: len(whole) * 2 // 3])
    assert run("two.fits", "--preview") == 1
    assert sorted(path.name for path in two_detectors.iterdir()) == ["two.fits"]


def test_a_preview_needs_thresholds(run, two_detectors, capsys):
    assert run("two.fits", "--preview", "--proba_thresh", "no") == 2
    assert "contradicts" in capsys.readouterr().err


def test_without_pillow_one_line_says_what_to_install(networks, two_detectors):
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
sys.modules["PIL"] = sys.modules["matplotlib"] = None
import maximask
maximask.main(["--preview", "--net_path", {str(networks)!r}, "two.fits"])
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 2
    assert answer.stderr == (
        "maximask: pictures need Pillow: pip install 'maximask-maxitrack[report]'\n"
    )


def test_what_is_odd_in_a_file_is_told_and_its_masks_are_made(run, sky, capsys):
    exposure(sky).writeto("a.fits", checksum=True)
    data = Path("a.fits").read_bytes().replace(b"FILTER  = 'r       '", b"FILTER  = 'r no end ")
    place = data.index(sky[100, :50].astype(">f4").tobytes())
    Path("a.fits").write_bytes(data[:place] + b"\0" + data[place + 1 :])
    assert run("a.fits") == 0
    assert capsys.readouterr().err.splitlines() == [
        "maximask: a.fits: HDU 2: the masks lack cards that cannot be read (FILTER)",
        "maximask: a.fits: HDU 2: the data do not agree with DATASUM",
    ]
    assert "FILTER" not in fits.getheader("a.masks.fits", 2)


@pytest.mark.parametrize("value", [1e25, -1e25, 1.6e38, np.inf, np.nan])
def test_one_impossible_pixel_is_felt_where_it_is_alone(run, sky, value):
    sky[200, 100] = 0
    write("zero.fits", sky)
    sky[200, 100] = value
    write("huge.fits", sky)
    assert run(".") == 0
    masks = fits.getdata("huge.masks.fits")
    np.testing.assert_array_equal(masks, fits.getdata("zero.masks.fits"))
    np.testing.assert_array_equal(masks[:, :190], truth()[:, :190])


def test_images_without_data_give_masks_of_zeros(run):
    shape = (50, 60)
    blank = fits.ImageHDU(np.full(shape, -1, "i2"))
    blank.header["BLANK"] = -1
    images = [np.full(shape, value, "f4") for value in (np.nan, np.inf, -np.inf, 1.6e38)]
    hdus = [fits.PrimaryHDU(), *map(fits.ImageHDU, images), blank]
    fits.HDUList(hdus).writeto("a.fits")
    assert run("a.fits") == 0
    with fits.open("a.masks.fits") as masks:
        assert [hdu.data.any() for hdu in masks[1:]] == [False] * 5


@pytest.mark.parametrize("single", [True, False])
def test_headers_are_as_good_as_they_were(run, sky, single):
    hdus = exposure(sky)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    hdus[3].header.update(wcs.to_header())
    hdus.writeto("a.fits")
    assert run("a.fits", "--single_mask", single) == 0
    with fits.open("a.masks.fits") as masks:
        masks.verify("exception")
    assert verified("a.masks.fits") == verified("a.fits") == (0, 0)
    assert run("a.fits[3]", "--single_mask", single) == 0
    assert verified("a.masks3.fits") == (0, 0)
