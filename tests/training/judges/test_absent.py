"""Frames that lack a class: what is put in as such comes out as its share of the pixels."""

import numpy as np
import pytest
from conftest import hits, write

from maxitools.classes import NAMES
from training.judges import absent
from training.judges.counts import scored_pixels


def test_the_share_of_pixels_in_classes_that_are_not_there(sky, networks, tmp_path, capsys):
    write(tmp_path / "frame.fits", sky)
    table = tmp_path / "absent.tsv"
    table.write_text("file\thdu\tabsent\nframe.fits\t0\tCR,TRL\nframe.fits\t0\tTRL\n")
    absent.main([str(table), "--net_path", str(networks)])
    share = f"{len(hits()[0]) / sky.size:.5f}"
    lines = capsys.readouterr().out.splitlines()
    assert f"| frame.fits | {share} | CR {share} |" in lines
    assert "| frame.fits | 0.00000 | TRL 0.00000 |" in lines
    assert f"| CR | 1 | {share} | {share} |" in lines
    assert "| TRL | 2 | 0.00000 | 0.00000 |" in lines


def test_frames_become_scenes_in_which_a_class_is_surely_nowhere(sky, tmp_path):
    write(tmp_path / "frame.fits", sky)
    table = tmp_path / "absent.tsv"
    table.write_text("file\thdu\tabsent\nframe.fits\t0\tCR,TRL\n")
    absent.main([str(table), "--scenes", str(tmp_path / "scenes")])
    (path,) = (tmp_path / "scenes").iterdir()
    with np.load(path) as scene:
        np.testing.assert_array_equal(scene["image"], sky)
        assert list(scene["known"]) == ["CR", "TRL"]
        for name in NAMES:
            truth, scored = scored_pixels(scene["positive"], scene["unsure"], name)
            assert not truth.any()
            assert scored.all() if name in ("CR", "TRL") else not scored.any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\thdu\tabsent\na.fits\t0\tCR,XY\n", "line 2: expected classes"),
        ("file\thdu\tabsent\na.fits\t0\t\n", "line 2: expected classes"),
        ("file\thdu\na.fits\t0\n", "no column 'absent'"),
        ("file\thdu\tabsent\na.fits\tone\tCR\n", "absent.tsv: invalid literal"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path, capsys, text, message):
    (tmp_path / "absent.tsv").write_text(text)
    with pytest.raises(SystemExit):
        absent.main([str(tmp_path / "absent.tsv"), "--net_path", "model"])
    assert message in capsys.readouterr().err
