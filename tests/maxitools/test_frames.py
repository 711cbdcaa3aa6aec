"""A file is judged sound, or said to be not, before anything is made of it."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from maxitools.frames import CopiedHDU, ImageHDU, read_hdus
from maxitools.inputs import Input, InputError

# As the commands do: what astropy says of headers that break a rule is said by them.
pytestmark = pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")


@pytest.fixture
def whole(here):
    """The bytes of a file with a primary, an image, a table, an image, a table."""
    image = np.arange(600, dtype="f4").reshape(20, 30)
    table = np.array([(i, 0.5 * i) for i in range(700)], "i4,f8")
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(image), fits.BinTableHDU(table, name="A")]
    hdus += [fits.ImageHDU(image + 1), fits.BinTableHDU(table, name="B")]
    fits.HDUList(hdus).writeto("whole.fits")
    return Path("whole.fits").read_bytes()


def given(data, name="a.fits"):
    """An input that holds some bytes."""
    Path(name).write_bytes(data)
    return Input(name, Path(name))


def read(source):
    """All that comes out of a file, its images read."""
    parts = []
    for part in read_hdus(source):
        parts.append(part)
        if isinstance(part, ImageHDU):
            list(part.planes())
    return parts


def refused(source):
    """Why a file is refused."""
    with pytest.raises(InputError) as refusal:
        read(source)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_file_is_read_from_its_first_byte_to_its_last(whole):
    parts = list(read_hdus(given(whole)))
    assert [part.index for part in parts if isinstance(part, ImageHDU)] == [1, 3]
    with fits.open("whole.fits") as hdus:
        places = [hdu.fileinfo() for hdu in hdus]
    tables = [whole[p["hdrLoc"] : p["datLoc"] + p["datSpan"]] for p in places[::2]]
    assert b"".join(p.data for p in parts if isinstance(p, CopiedHDU)) == b"".join(tables)


@pytest.mark.parametrize("zipped", [False, True])
def test_no_cut_goes_unnoticed(whole, zipped):
    with fits.open("whole.fits") as hdus:
        starts = {hdu.fileinfo()["hdrLoc"] for hdu in hdus}
    # Without its last padding all is there that was promised.
    end = len(whole) - (-700 * 12) % 2880
    for size in range(0, end, 720):
        if size not in starts or size == 0:
            data = whole[:size]
            reason = refused(given(gzip.compress(data, 1) if zipped else data))
            assert "cut" in reason or "not a FITS file" in reason or "no HDU" in reason, size


def test_padding_that_the_file_lacks_is_made_good(whole):
    end = len(whole) - (-700 * 12) % 2880
    assert end < len(whole)
    copied = [p.data for p in read_hdus(given(whole[:end])) if isinstance(p, CopiedHDU)]
    assert sum(map(len, copied)) % 2880 == 0
    assert b"".join(copied) == b"".join(
        p.data for p in read_hdus(given(whole)) if isinstance(p, CopiedHDU)
    )


def test_blocks_of_zeros_at_the_end_are_passed_over(whole):
    assert len(list(read_hdus(given(whole + bytes(5 * 2880))))) == len(
        list(read_hdus(given(whole)))
    )
    assert "no HDU" in refused(given(whole + b"something else"))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"XTENSION= 'BINTABLE'", b"XTENSION= 'BINTBALE'", "XTENSION of HDU 2 is 'BINTBALE'"),
        (b"XTENSION= 'IMAGE   '", b"XTENSIOM= 'IMAGE   '", "what follows HDU 0 is no HDU"),
        (b"NAXIS2  =                  700", b"NAXIS2  =                  900", "no HDU"),
        (b"NAXIS2  =                  700", b"NAXIS2  =                 -700", "of HDU 2 is -700"),
        (b"NAXIS2  =                   20", b"NAXIS2  =                  2x0", "NAXIS2 of HDU 1"),
        (b"NAXIS2  =                   20", b"NAXIS4  =                   20", "is missing"),
        (b"NAXIS1  =                   30", b"NAXIS1  =               300000", "HDU 1 is cut"),
        (b"BITPIX  =                  -32", b"BITPIX  =                  -31", "BITPIX of HDU 1"),
        (b"NAXIS   =                    2", b"NAXIS   =                 2E99", "NAXIS of HDU 1"),
        (b"SIMPLE  =                    T", b"SIMPLE  =                    F", "SIMPLE of HDU 0"),
    ],
)
def test_damaged_header_is_named(whole, old, new, reason):
    assert old in whole
    assert reason in refused(given(whole.replace(old, new, 1)))


def test_compressed_image_has_as_many_tiles_as_its_header_says(here):
    image = np.arange(6000, dtype="i2").reshape(100, 60)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image)]).writeto("a.fits")
    data = Path("a.fits").read_bytes()
    old = b"ZNAXIS2 =                  100"
    assert old in data
    for new in (b"ZNAXIS2 =              1000000", b"ZNAXIS2 =                   99"):
        assert "tiles by its header, 100 by its table" in refused(given(data.replace(old, new)))
    assert "ZNAXIS2 of HDU 1 is -5" in refused(
        given(data.replace(old, b"ZNAXIS2 =                   -5"))
    )


def test_file_cut_while_it_is_read_is_refused(whole):
    parts = read_hdus(given(whole))
    while not isinstance(next(parts), ImageHDU):
        pass
    os.truncate("a.fits", 2880 * 3)
    with pytest.raises(InputError, match="HDU 2 was cut while it was read"):
        list(parts)


def test_large_hdu_is_copied_in_pieces(here):
    fits.writeto("big.fits", np.ones((3, 4), "f4"))
    header = fits.ImageHDU(np.zeros((2, 2, 2, 2), "u1")).header
    header["NAXIS4"] = (1 << 28) + 1
    size = 2 * 2 * 2 * header["NAXIS4"]
    after = fits.ImageHDU(np.full((5, 6), 7, "i2"))
    with open("big.fits", "ab") as file:
        file.write(header.tostring().encode())
        start = file.tell()
        # Sparse, but for its last byte.
        file.truncate(start + size - 1)
        file.seek(0, 2)
        file.write(b"\x07")
        file.write(bytes(-size % 2880))
        after.writeto("after.fits")
        file.write(after.header.tostring().encode() + after.data.tobytes())
    assert size > 2**31
    copied, last = 0, None
    for part in read_hdus(Input("big.fits", Path("big.fits"))):
        if isinstance(part, CopiedHDU):
            assert len(part.data) <= 1 << 25
            copied += len(part.data)
            last = part.data if part.data else last
        else:
            last = part
    assert copied == 2880 + size + -size % 2880
    assert isinstance(last, ImageHDU)


def test_data_that_disagree_with_their_sum_are_told(here):
    image = np.arange(6000, dtype="i2").reshape(100, 60)
    hdus = [fits.PrimaryHDU(image), fits.ImageHDU(image.astype("f4")), fits.CompImageHDU(image)]
    fits.HDUList(hdus).writeto("a.fits", checksum=True)
    data = bytearray(Path("a.fits").read_bytes())
    notes = [hdu.notes for hdu in read_hdus(given(data, "b.fits"))]
    assert notes == [[], [], []]
    data[2880 * 2] ^= 1
    notes = [hdu.notes for hdu in read_hdus(given(data, "b.fits"))]
    assert notes == [["HDU 0: the data do not agree with DATASUM"], [], []]


@pytest.mark.parametrize(
    "card",
    [
        b"BROKEN  = 'no end of this",
        b"BROKEN  = 12..5",
        b"BROKEN  = 'a string that goes on&'".ljust(80) + b"CONTINUE  no string",
        b"WCSAXES = 'two'",
        b"WCSAXES =",
    ],
)
def test_card_that_cannot_be_read_is_left_out_and_told(here, card):
    fits.writeto("a.fits", np.ones((20, 30), "f4"), fits.Header([("FILTER", "r"), ("OBJECT", "x")]))
    old = b"FILTER  = 'r       '".ljust(80)
    data = Path("a.fits").read_bytes()
    assert old in data
    (hdu,) = read_hdus(given(data.replace(old, card.ljust(-(-len(card) // 80) * 80))))
    assert hdu.header["OBJECT"] == "x"
    assert card[:8].decode().strip() not in hdu.header
    assert card[:8].decode().strip() in hdu.notes[0]


@pytest.mark.parametrize("byte", [0, 7, 9, 10, 27, 127, 0xE9])
def test_bytes_that_no_header_may_hold_become_question_marks(here, byte):
    fits.writeto("a.fits", np.ones((20, 30), "f4"), fits.Header([("OBSERVER", "Rene X")]))
    data = Path("a.fits").read_bytes()
    (hdu,) = read(given(data.replace(b"Rene X", b"Ren%c X" % byte)))
    assert hdu.header["OBSERVER"] == "Ren? X"
