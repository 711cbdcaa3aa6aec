"""The tracking command: one line for each file."""

import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import write

import maxitrack

# What the stand-in network says at equal priors.
GOOD, BAD = 1 / (1 + np.exp(4)), 1 / (1 + np.exp(-4))


@pytest.fixture
def run(networks, here):
    """Run the command in an empty directory; the exit status."""

    def run(*arguments):
        try:
            return maxitrack.main(["--net_path", str(networks), *map(str, arguments)])
        except SystemExit as error:
            return error.code

    return run


@pytest.fixture
def sharp():
    """An image (128, 128) that the stand-in network finds good."""
    return np.random.default_rng(2).normal(500, 5, (128, 128)).astype("f4")


@pytest.fixture
def smeared(sharp):
    """One that it finds bad."""
    image = sharp.copy()
    image[64, 64] = 5000
    return image


def modified(probability, prior):
    odds = probability / (1 - probability) * prior / (1 - prior)
    return odds / (1 + odds)


def lines():
    return [line.split(" ") for line in Path("maxitrack.out").read_text().splitlines()]


def test_one_line_is_appended_for_each_file(run, sharp, smeared):
    Path("maxitrack.out").write_text("earlier.fits 0.25\n")
    write("good.fits", sharp)
    write("bad.fits", smeared)
    Path("x.list").write_text("bad.fits\n./good.fits\n")
    assert run("x.list", "--prior_value", "0.5") == 0
    (earlier, _), (bad, p_bad), (good, p_good) = lines()
    assert (earlier, bad, good) == ("earlier.fits", "bad.fits", "./good.fits")
    np.testing.assert_allclose([float(p_bad), float(p_good)], [BAD, GOOD], rtol=1e-6)


def test_a_file_listed_twice_in_a_row_has_two_lines(run, sharp):
    write("a.fits", sharp)
    Path("x.list").write_text("a.fits\na.fits\n")
    assert run("x.list") == 0
    once, again = lines()
    assert once == again


def test_prior_is_one_in_twenty_unless_given(run, smeared, networks):
    write("a.fits", smeared)
    assert run("a.fits") == 0
    assert run("a.fits", "--prior_value", "1e-6") == 0
    values = [float(value) for _, value in lines()]
    np.testing.assert_allclose(values, [modified(BAD, 0.05), modified(BAD, 1e-6)], rtol=1e-5)
    assert np.isclose(maxitrack.probability(smeared, networks), modified(BAD, 0.05))


def test_all_hdus_count(run, sharp, smeared):
    write("a.fits", smeared, sharp, np.zeros((128, 128), "f4"))
    assert run("a.fits", "--prior_value", "0.5") == 0
    assert run("a.fits[1]", "--prior_value", "0.5") == 0
    (_, both), (given, one) = lines()
    assert np.isclose(float(both), 0.5)
    assert given == "a.fits[1]"
    assert np.isclose(float(one), GOOD)


def test_some_hdus_are_drawn(run, sharp, smeared):
    write("a.fits", smeared, sharp)
    for _ in range(20):
        assert run("a.fits", "--prior_value", "0.5", "--frac", "1") == 0
    assert run("a.fits", "--prior_value", "0.5", "--frac", "7") == 0
    *drawn, both = [float(value) for _, value in lines()]
    assert {round(value, 4) for value in drawn} == {round(GOOD, 4), round(BAD, 4)}
    assert np.isclose(both, 0.5)


def test_a_decimal_point_makes_a_share_of_the_hdus(run, sharp, smeared):
    write("a.fits", *[smeared] * 2, *[sharp] * 2)
    for share in ("1.0", "0.75", ".1"):
        for _ in range(10):
            assert run("a.fits", "--prior", "0.5", "--frac", share) == 0
    means = [round(float(value), 2) for _, value in lines()]
    assert set(means[:10]) == {0.5}
    # Of the log-odds 4 and -4, two of the one and one of the other.
    assert set(means[10:20]) <= {round(1 / (1 + np.exp(odds)), 2) for odds in (-4 / 3, 4 / 3)}
    assert set(means[20:]) <= {round(GOOD, 2), round(BAD, 2)}


def test_file_without_usable_hdu_gets_none(run, sharp, capsys):
    write("zero.fits", np.zeros((128, 128), "f4"))
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(np.ones(3, "i4,f4"))]).writeto("table.fits")
    Path("text.fits").write_text("no FITS file")
    write("good.fits", sharp)
    Path("x.list").write_text("zero.fits\ntable.fits\ntext.fits\ngone.fits\ngood.fits\n")
    assert run("x.list") == 1
    assert [value for _, value in lines()[:4]] == ["None"] * 4
    assert float(lines()[4][1]) < 0.01
    assert len(capsys.readouterr().err.splitlines()) == 4


@pytest.mark.parametrize("shape", [(1, 1), (30, 500)])
def test_images_smaller_than_a_tile(run, shape):
    write("a.fits", np.random.default_rng(1).normal(100, 1, shape).astype("f4"))
    assert run("a.fits") == 0
    assert 0 < float(lines()[0][1]) < 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.fits"], "gone.fits: no such file"),
        (["a.fits", "--prior_value", "1"], "expected a number above 0 and below 1, found '1'"),
        (["a.fits", "--frac", "0"], "expected -1, a number above 0, or a share as 0.5, found '0'"),
        (["a.fits", "--frac", "1.5"], "a share as 0.5, found '1.5'"),
        (["a.fits", "--frac", "half"], "a share as 0.5, found 'half'"),
        (["a.fits", "--net_path", "."], "holds no network for maxitrack"),
    ],
)
def test_usage_errors_exit_with_two(run, sharp, capsys, arguments, message):
    write("a.fits", sharp)
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not Path("maxitrack.out").exists()


def test_tiles_are_told_on_request(run, smeared, capsys):
    write("a.fits", np.hstack([smeared, smeared[:, :120]]))
    assert run("a.fits", "-v", "--prior_value", "0.5") == 0
    assert re.search(r"HDU 0: tiles 0.98 0.98\n", capsys.readouterr().err)


def test_exposures_that_have_a_probability_are_skipped(run, sharp, smeared, capsys):
    for name in ("a.fits", "with space.fits"):
        write(name, sharp)
    Path("b.fits").touch()
    assert run(".", "--output", "night.out") == 1
    Path("b.fits").unlink()
    write("b.fits", smeared)
    write("c.fits", smeared)
    assert run(".", "--output", "night.out", "--skip_existing", "-v") == 0
    assert not Path("maxitrack.out").exists()
    *earlier, b, c = Path("night.out").read_text().splitlines()
    assert [line.rpartition(" ")[0] for line in earlier] == ["a.fits", "b.fits", "with space.fits"]
    assert b.startswith("b.fits 0.") and c.startswith("c.fits 0.")
    assert "with space.fits: done before, in night.out" in capsys.readouterr().err
    assert run(".", "--output", "night.out", "--skip_existing") == 0
    assert len(Path("night.out").read_text().splitlines()) == 5


@pytest.mark.parametrize("value", [1e25, -1e25, 1.6e38, np.inf, np.nan])
def test_one_impossible_pixel_changes_nothing(run, sharp, value):
    write("a.fits", sharp)
    sharp[30, 40] = value
    write("b.fits", sharp, np.full((128, 128), value, "f4"))
    assert run(".") == 0
    (_, ordinary), (_, huge) = lines()
    assert np.isclose(float(ordinary), float(huge), rtol=1e-6)
