"""Class files: what they choose, and what is said of broken ones."""

import json

import pytest
from conftest import ROOT

from maxitools.classes import CLASSES, NAMES, ClassFileError, chosen_values, read_class_file

PRIORS = "".join(f"{name} 0.0{i + 1:02d}\n" for i, name in enumerate(NAMES))


def test_codes_are_powers_of_two_and_fit_int16():
    assert [c.code for c in CLASSES] == [2**i for i in range(13)] + [0]
    assert sum(c.code for c in CLASSES) < 2**15


def test_values_come_by_class(tmp_path):
    path = tmp_path / "classes.priors"
    path.write_text("# ours\n\n" + PRIORS.replace("NEB 0.009", "NEB   1e-06  # rare"))
    values = read_class_file(path)
    assert list(values) == list(NAMES)
    assert values["CR"] == 0.001
    assert values["NEB"] == 1e-6


def test_old_name_of_trails_is_read(tmp_path):
    path = tmp_path / "classes.flags"
    path.write_text("".join(f"{name} 0\n" for name in NAMES).replace("TRL 0", "STL 1"))
    assert [name for name, on in read_class_file(path).items() if on] == ["TRL"]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("priors", ("HP 0.004\n", ""), "ends without HP, expected one line for each"),
        ("priors", ("HP 0.004", "CR 0.004"), "line 4: class CR a second time"),
        ("priors", ("HP", "HOT"), "line 4: unknown class 'HOT', expected one of CR HCL"),
        ("priors", ("0.004", "often"), "line 4: expected a number above 0 .* found 'often'"),
        ("priors", ("0.004", "0"), "line 4: expected a number above 0 .* for HP, found '0'"),
        ("priors", ("0.004", "nan"), "line 4: expected a number above 0"),
        ("priors", ("HP 0.004", "HP"), "line 4: expected a class and its value, found 'HP'"),
        ("thresh", ("0.004", "1.5"), "line 4: expected a number from 0 to 1 for HP, found '1.5'"),
        ("flags", ("0.004", "2"), "line 1: expected 0 or 1 for CR"),
    ],
)
def test_broken_file_is_named_with_line_and_expectation(tmp_path, name, change, message):
    path = tmp_path / f"classes.{name}"
    path.write_text(PRIORS.replace(*change))
    with pytest.raises(ClassFileError, match=f"classes.{name}.*{message}"):
        read_class_file(path)


def test_missing_files_choose_nothing(tmp_path):
    assert chosen_values(tmp_path, ROOT) == (None, None, None)


def test_copies_of_the_shipped_files_choose_nothing(tmp_path):
    for kind in ("flags", "priors", "thresh"):
        (tmp_path / f"classes.{kind}").write_text((ROOT / f"classes.{kind}").read_text())
    assert chosen_values(tmp_path, ROOT) == (None, None, None)
    (tmp_path / "classes.priors").write_text(PRIORS)
    assert chosen_values(tmp_path, ROOT)[1]["CR"] == 0.001


def test_shipped_files_hold_the_defaults_of_the_shipped_network():
    network = json.loads((ROOT / "model/maximask/network.json").read_text())
    assert read_class_file(ROOT / "classes.priors") == network["default_priors"]
    assert read_class_file(ROOT / "classes.thresh") == network["thresholds"]
    assert all(read_class_file(ROOT / "classes.flags").values())
