"""Compressed files of masks: what plain ones hold, for every reader of them."""

import gzip
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from maxitools.compression import CompressedFile
from maxitools.frames import is_whole
from maxitools.headers import mask_header
from maxitools.maskfile import MaskFile


def write(path, images, strip=50):
    """Write images, and bytes of an HDU between them, strip by strip."""
    kind = CompressedFile if path.endswith(".fz") else MaskFile
    table = fits.BinTableHDU(np.ones(3, "i4,f4"), name="STARS")
    table.header["CHECKSUM"] = "as it was"
    table.writeto("table.fits", overwrite=True)
    copied = Path("table.fits").read_bytes()[2880:]
    with kind(path) as file:
        for image in images:
            given = fits.ImageHDU(np.zeros(image.shape[-2:]), name="CCD").header
            given["FILTER"] = "r"
            file.append_image(mask_header(given, image.shape, image.dtype, file.empty, []))
            planes = list(np.ndindex(image.shape[:-2])) if image.any() else []
            for first in range(0, image.shape[-2], strip):
                for index in planes:
                    file.write_rows(index, first, image[index][first : first + strip])
            file.append(copied)


def sparse(shape, dtype, value=1):
    """Nearly all zeros, as masks are, with a plane that is full of ones."""
    random = np.random.default_rng(6)
    image = (random.random(shape) < 0.001).astype(dtype) * np.dtype(dtype).type(value)
    image[0, ..., 5:9] = value
    if len(shape) > 2:
        image[1] = value
    return image


IMAGES = {
    "planes": sparse((14, 150, 90), "u1"),
    "a few rows": sparse((3, 2, 7, 90), "u1"),
    "codes": sparse((300, 200), "i2", 4097),
    "large values": sparse((130, 64), "i4", 100_000),
    "probabilities": np.random.default_rng(7).random((2, 100, 70), "f4"),
    "zeros": np.zeros((14, 129, 30), "u1"),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("strip", [1, 50, 64, 1000])
def test_astropy_reads_what_was_written(here, name, strip):
    write("a.fits.fz", [IMAGES[name], IMAGES["planes"]], strip)
    write("a.fits", [IMAGES[name], IMAGES["planes"]])
    with fits.open("a.fits.fz") as packed, fits.open("a.fits") as plain:
        packed.verify("exception")
        assert [hdu.name for hdu in packed] == ["PRIMARY", "CCD", "STARS", "CCD", "STARS"]
        for one, other in zip(packed[1:], plain, strict=True):
            np.testing.assert_array_equal(one.data, other.data)
            assert one.header["EXTNAME"] == other.header["EXTNAME"]
        assert (packed[1].header["FILTER"], packed[1].header["BITPIX"]) == (
            "r",
            plain[0].header["BITPIX"],
        )
        assert packed[1].data.dtype.newbyteorder("=") == IMAGES[name].dtype
    assert is_whole("a.fits.fz")


@pytest.mark.skipif(not shutil.which("funpack"), reason="CFITSIO's funpack is not installed")
@pytest.mark.parametrize("name", IMAGES)
def test_funpack_gives_the_plain_file(here, name):
    write("a.fits.fz", [IMAGES[name], IMAGES["planes"]])
    write("a.fits", [IMAGES[name], IMAGES["planes"]])
    subprocess.run(["funpack", "-C", "-O", "back.fits", "a.fits.fz"], check=True)
    assert Path("back.fits").read_bytes() == Path("a.fits").read_bytes()


def test_masks_shrink(here):
    write("a.fits.fz", [IMAGES["planes"]])
    assert Path("a.fits.fz").stat().st_size < IMAGES["planes"].size / 8


def test_places_beyond_32_bits_are_told_where_there_may_be_any(here):
    header = mask_header(fits.ImageHDU(np.zeros((9, 9))).header, (14, 9, 9), "u1", True, [])
    for height, form in ((9, "1PB"), (9_000, "1QB")):
        header["NAXIS1"], header["NAXIS2"] = 9_000, height
        with CompressedFile("a.fits.fz") as file:
            file.append_image(header)
            if height > 9:
                rows = np.zeros((64, 9_000), "u1")
                rows[3, 3] = 1
                file.write_rows((0,), 0, rows)
        with fits.open("a.fits.fz", disable_image_compression=True) as hdus:
            assert hdus[1].header["TFORM1"].startswith(form)
        with fits.open("a.fits.fz") as hdus:
            found = hdus[1].section[0, :8, :8]
            assert found.sum() == (height > 9)


def test_zipped_file_is_the_plain_one(here):
    write("a.fits.gz", [IMAGES["planes"], IMAGES["codes"]])
    write("a.fits", [IMAGES["planes"], IMAGES["codes"]])
    assert gzip.decompress(Path("a.fits.gz").read_bytes()) == Path("a.fits").read_bytes()
    assert [path.name for path in Path().glob(".*")] == []
