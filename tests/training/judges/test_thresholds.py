"""Thresholds from several sets of scenes: the best of each go in, what serves all comes out."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from marked import recipe, write_scene
from scipy.special import expit, logit

from maxitools.classes import NAMES
from maxitools.decisions import prior_factor, raw_threshold
from training.judges import metrics, thresholds
from training.judges.thresholds import Judge, Limit, choose


def judge(separation=None, weight=1.0, negatives=10_000):
    """A judge whose 200 positives are all above a raw probability, its negatives below; or none."""
    answers = np.linspace(0.0005, 0.9995, negatives)
    counts = metrics.histogram(answers, np.zeros(negatives, bool))
    if separation is not None:
        counts[:] = 0
        counts[0, metrics.bin_of(separation) - 1] = negatives
        counts[1, metrics.bin_of(separation)] = 200
    return Judge("scenes", weight, {"CR": counts})


def test_a_threshold_is_half_way_between_the_best_ones_in_log_odds():
    choice = choose("CR", 0.5, [], [judge(0.2), judge(0.9)], 1e-3)
    assert choice.raw == pytest.approx(expit((logit(0.2) + logit(0.9)) / 2), abs=1e-3)
    choice = choose("CR", 0.5, [], [judge(0.2, weight=3), judge(0.9)], 1e-3)
    assert choice.raw == pytest.approx(expit((3 * logit(0.2) + logit(0.9)) / 4), abs=1e-3)


def test_marked_real_frames_come_first():
    choice = choose("CR", 0.5, [judge(0.3)], [judge(0.9)], 1e-3)
    assert choice.raw == pytest.approx(0.3, abs=1e-3)


def test_frames_without_the_class_raise_the_threshold_until_few_pixels_are_marked():
    choice = choose("CR", 0.5, [judge()], [judge(0.6)], 0.1)
    assert choice.raw == pytest.approx(0.9, abs=1e-3)
    choice = choose("CR", 0.5, [judge()], [judge(0.95)], 0.1)
    assert choice.raw == pytest.approx(0.95, abs=1e-3)


def test_a_class_that_nobody_shows_keeps_its_threshold():
    assert choose("CR", 0.97, [judge()], [], 0.1).raw == pytest.approx(0.97)


def test_limits_set_by_hand_have_the_last_word():
    choice = choose("CR", 0.5, [], [judge(0.2)], 1e-3, Limit(0.4, 1.0, "sharp stars"))
    assert choice.raw == 0.4 and choice.reason == "sharp stars"
    choice = choose("CR", 0.5, [], [judge(0.8)], 1e-3, Limit(0.4, 1.0, "sharp stars"))
    assert choice.raw == pytest.approx(0.8, abs=1e-3) and not choice.reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[CR]\nlowest = 2\nreason = "x"', "from 0 to 1"),
        ('[CR]\nlowest = "high"\nreason = "x"', "from 0 to 1"),
        ('[CR]\nlow = 0.2\nreason = "x"', "from 0 to 1"),
        ("[CR]\nlowest = 0.2", "no reason"),
        ('[XY]\nlowest = 0.2\nreason = "x"', "unknown class XY"),
        ("lowest 0.2", "cannot be read"),
    ],
)
def test_limits_that_cannot_be_meant_are_refused(tmp_path, text, message):
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"limits.toml.*{message}"):
        thresholds.read_limits(path)


def test_the_limits_of_the_repository_can_be_read():
    assert set(thresholds.read_limits(thresholds.LIMITS)) <= set(NAMES)


def test_the_command_writes_what_it_chose_into_the_network(tmp_path, monkeypatch, capsys):
    """Answers of 0.8 in cosmic rays, 0.1 beside them, 0.6 everywhere for trails."""
    (tmp_path / "scenes").mkdir()
    write_scene(tmp_path / "scenes" / "a.npz", [("CR", np.s_[:, 3:12])])
    priors = {"training_priors": 0.1, "default_priors": 1e-3}
    shipped = recipe(**priors, thresholds=0.001)
    monkeypatch.setattr(
        thresholds.networks,
        "find",
        lambda path, task: SimpleNamespace(path=tmp_path, recipe=shipped),
    )

    def probabilities(image, net_path):
        planes = np.zeros((len(NAMES), *image.shape), np.float32)
        planes[0] = np.where(image > 0, 0.8, 0.1)
        planes[NAMES.index("TRL")] = 0.6
        return planes

    monkeypatch.setattr(thresholds.maximask, "probabilities", probabilities)
    (tmp_path / "network.json").write_text('{"task": "mask"}')
    limits = tmp_path / "limits.toml"
    limits.write_text("")
    scenes = str(tmp_path / "scenes")
    thresholds.main([str(tmp_path), "--real", f"{scenes}=2", "--limits", str(limits)])
    written = json.loads((tmp_path / "network.json").read_text())
    assert written["task"] == "mask"
    factor = prior_factor(0.1, 1e-3)
    assert 0.1 < raw_threshold(written["thresholds"]["CR"], factor) < 0.8
    assert raw_threshold(written["thresholds"]["TRL"], factor) > 0.6
    assert "| CR |" in capsys.readouterr().out
