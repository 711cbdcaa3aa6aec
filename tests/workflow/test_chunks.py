"""How a list of exposures is cut, and what its chunks ask for."""

import os

import pytest
from conftest import field, write

from maxitools.inputs import InputError
from workflow.chunks import needs, write_chunks


@pytest.fixture
def exposures(here):
    """A list of ten exposures that are not there."""
    path = here / "exposures.list"
    path.write_text("".join(f"e{number}.fits\n" for number in range(10)))
    return path


def contents(lists):
    return [path.read_text().split() for path in lists]


def test_each_exposure_is_in_one_chunk(exposures, here):
    lists = write_chunks(str(exposures), 4, here / "chunks")
    assert [len(chunk) for chunk in contents(lists)] == [4, 4, 2]
    assert [name for chunk in contents(lists) for name in chunk] == exposures.read_text().split()


def test_exposures_that_come_later_leave_full_chunks_alone(exposures, here):
    first = write_chunks(str(exposures), 4, here / "chunks")
    os.utime(first[0], (1, 1))
    with open(exposures, "a") as file:
        file.write("later.fits\n")
    second = write_chunks(str(exposures), 4, here / "chunks")
    assert second[:2] == first[:2] and second[2] != first[2]
    assert contents(second)[2] == ["e8.fits", "e9.fits", "later.fits"]
    assert first[0].stat().st_mtime == 1


def test_an_exposure_that_is_newer_renews_its_chunk_alone(exposures, here):
    lists = write_chunks(str(exposures), 4, here / "chunks")
    for path in lists:
        os.utime(path, (1, 1))
    (here / "e5.fits").touch()
    write_chunks(str(exposures), 4, here / "chunks")
    assert [path.stat().st_mtime > 1 for path in lists] == [False, True, False]


def test_exposures_whose_masks_would_have_one_name_are_refused(here):
    path = here / "exposures.list"
    path.write_text("monday/a.fits\nmonday/b.fits\ntuesday/b.fits\n")
    with pytest.raises(InputError, match=r"2 exposures are called b\.fits"):
        write_chunks(str(path), 2, here / "chunks")


def test_larger_images_and_later_attempts_get_more(here):
    write(here / "small.fits", field((50, 40)))
    write(here / "large.fits", field((500, 400)), field((2000, 3000)))
    (here / "small.list").write_text("missing.fits\nsmall.fits\n")
    (here / "large.list").write_text("missing.fits\nlarge.fits\n")
    small, large = (needs(f"{size}.list") for size in ("small", "large"))
    assert large.mem_mb > small.mem_mb
    again = needs("large.list", attempt=2)
    assert again.mem_mb == 2 * large.mem_mb and again.runtime == 2 * large.runtime


def test_where_no_exposure_can_be_read_the_least_is_asked_for(exposures, here):
    write(here / "small.fits", field((50, 40)))
    (here / "small.list").write_text("small.fits\n")
    assert needs(exposures).mem_mb <= needs("small.list").mem_mb
