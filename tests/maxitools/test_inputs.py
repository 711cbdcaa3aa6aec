"""The forms of the path argument."""

from pathlib import Path

import pytest

from maxitools.inputs import Input, InputError, list_inputs
from maxitools.naming import MaskNames


@pytest.mark.parametrize(
    ("given", "masks"),
    [
        ("a.fits", "a.masks.fits"),
        ("night/a.fits.fz", "night/a.masks.fits"),
        ("a.fits.gz", "a.masks.fits"),
        ("a.b.fit", "a.b.masks.fits"),
        ("a.fits[3]", "a.masks3.fits"),
        ("a.fits.fz[0]", "a.masks0.fits"),
    ],
)
def test_masks_lie_beside_their_input(here, given, masks):
    Path("night").mkdir()
    Path(given.partition("[")[0]).touch()
    (source,) = list_inputs(given)
    assert MaskNames().path(source) == Path(masks)
    assert MaskNames(folder="out").path(source) == Path("out", Path(masks).name)


def test_directory_gives_its_fits_files_but_no_masks(here):
    for name in ("b.fits", "a.FITS.fz", "c.txt", "b.masks.fits", "b.masks2.fits", "d.fts.gz"):
        Path(name).touch()
    Path("sub.fits").mkdir()
    assert [source.path.name for source in list_inputs(".")] == ["a.FITS.fz", "b.fits", "d.fts.gz"]


def test_directory_gives_no_masks_under_any_of_their_names(here):
    for name in ("a.fits", "a.mask.fits", "a_m2.fits", "a_m23.fits.gz", "a.MASKS.fits", "m2.fits"):
        Path(name).touch()
    names = MaskNames("_m2")
    assert [source.path.name for source in list_inputs(".", names)] == ["a.fits", "m2.fits"]


def test_list_holds_every_other_form(here):
    Path("night").mkdir()
    Path("night/n.fits").touch()
    Path("x.list").write_text("# first\na.fits\n\n  b.fits[2]  # its second\nnight\ngone.fits\n")
    assert list_inputs("x.list") == [
        Input("a.fits", Path("a.fits")),
        Input("b.fits[2]", Path("b.fits"), 2),
        Input("night/n.fits", Path("night/n.fits")),
        Input("gone.fits", Path("gone.fits")),
    ]


def test_file_name_with_brackets_is_itself(here):
    Path("a.fits[1]").touch()
    assert list_inputs("a.fits[1]") == [Input("a.fits[1]", Path("a.fits[1]"))]


@pytest.mark.parametrize("given", ["gone.fits", "gone.fits[1]", "gone", "gone.list"])
def test_missing_path_is_named(here, given):
    with pytest.raises(InputError, match=given.partition("[")[0]):
        list_inputs(given)


def test_directory_or_list_without_fits_is_an_error(here):
    Path("x.list").write_text("# nothing yet\n")
    for given in ("x.list", "."):
        with pytest.raises(InputError, match="names no FITS file"):
            list_inputs(given)
