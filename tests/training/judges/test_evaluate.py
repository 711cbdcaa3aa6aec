"""Scores: a known truth goes in, the known score comes out."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from marked import oracle, recipe, write_scene
from scipy.special import expit
from scipy.stats import norm

from maxitools.classes import NAMES
from training.judges import evaluate, metrics
from training.judges.counts import count_objects, count_scenes


@pytest.fixture(scope="module")
def normal_answers():
    """Logits drawn from N(0, 1) for negatives and N(1.5, 1) for positives, and the truth."""
    rng = np.random.default_rng(5)
    truth = np.arange(400_000) % 4 == 0
    return expit(rng.normal(size=truth.size) + 1.5 * truth), truth


def test_auc_and_tpr_of_two_normal_distributions(normal_answers):
    counts = metrics.histogram(*normal_answers)
    assert metrics.roc_auc(counts) == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=2e-3)
    for fpr in (1e-2, 1e-1):
        expected = norm.sf(norm.isf(fpr) - 1.5)
        assert metrics.tpr_at(counts, fpr) == pytest.approx(expected, abs=1e-2)


def test_histograms_agree_with_the_sorted_answers(normal_answers):
    answers, truth = (values[:20_000] for values in normal_answers)
    sorted_truth = truth[np.argsort(-answers)]
    precision = np.cumsum(sorted_truth) / np.arange(1, truth.size + 1)
    expected = precision[sorted_truth].mean()
    counts = metrics.histogram(answers, truth)
    assert metrics.average_precision(counts) == pytest.approx(expected, abs=1e-4)


def test_an_answer_that_is_no_number_ranks_last():
    truth = np.array([True, True, False])
    counts = metrics.histogram(np.array([0.9, np.nan, 0.5]), truth)
    assert metrics.roc_auc(counts) == pytest.approx(0.5)


def test_answers_without_information_score_one_half():
    truth = np.arange(1000) % 3 == 0
    counts = metrics.histogram(np.full(1000, 0.3), truth)
    assert metrics.roc_auc(counts) == pytest.approx(0.5)
    assert metrics.tpr_at(counts, 0.01) == pytest.approx(0.01)
    assert metrics.average_precision(counts) == pytest.approx(truth.mean())


def test_certain_and_right_answers_are_perfect():
    truth = np.array([False, True, True, False])
    counts = metrics.histogram(truth.astype(np.float32), truth)
    assert metrics.roc_auc(counts) == 1
    assert metrics.tpr_at(counts, 1e-3) == 1
    assert metrics.best_threshold(counts)[1] == pytest.approx(1)


def test_best_threshold_separates_where_the_truth_changes():
    answers = np.linspace(0.01, 0.99, 999)
    threshold, coefficient = metrics.best_threshold(metrics.histogram(answers, answers > 0.73))
    assert threshold == pytest.approx(0.73, abs=1e-3)
    assert coefficient == pytest.approx(1)


def test_matthews_of_a_known_confusion():
    # the correlation coefficient of the two columns of 0 and 1
    tp, fp, fn, tn = 30, 10, 20, 940
    flagged = np.repeat([1, 1, 0, 0], [tp, fp, fn, tn])
    truth = np.repeat([1, 0, 1, 0], [tp, fp, fn, tn])
    assert metrics.matthews(tp, fp, fn, tn) == pytest.approx(np.corrcoef(flagged, truth)[0, 1])
    assert metrics.matthews(0, 0, 50, 950) == 0


def test_reliability_recovers_calibrated_answers():
    rng = np.random.default_rng(6)
    answers = rng.uniform(size=300_000)
    counts = metrics.histogram(answers, rng.uniform(size=answers.size) < answers)
    mean, share, number = metrics.reliability(counts)
    assert number.sum() == answers.size
    assert mean == pytest.approx(share, abs=0.02)
    # answers given at another prior are calibrated again once moved to that of the data
    shifted = metrics.histogram(
        expit(np.log(answers / (1 - answers)) - np.log(9)),
        rng.uniform(size=answers.size) < answers,
    )
    mean, share, _ = metrics.reliability(metrics.at_prior(shifted, 0.1, 0.5))
    assert mean == pytest.approx(share, abs=0.02)


def test_scores_of_scenes(tmp_path):
    write_scene(tmp_path / "a.npz", [("CR", np.s_[3, 4]), ("TRL", np.s_[:, 7])])
    write_scene(tmp_path / "b.npz", [("CR", np.s_[9, 1:5]), ("BBG", np.s_[:5, :5])])
    paths = sorted(tmp_path.glob("*.npz"))
    counts, objects = count_scenes(paths, oracle, NAMES, dict.fromkeys(NAMES, 0.5))
    shipped = recipe(training_priors=0.1, default_priors=0.1, thresholds=0.5)
    scores = evaluate.mask_scores(counts, objects, shipped)
    assert set(scores) == {"CR", "TRL", "BBG"}
    assert scores["CR"]["AUC"] == scores["CR"]["Matthews"] == scores["CR"]["recall"] == 1
    assert scores["CR"]["objects"] == scores["CR"]["found"] == 2 and not scores["CR"]["false"]
    # at a default prior so low, 0.9 is not enough to be above the threshold
    shipped = recipe(training_priors=0.1, default_priors=1e-4, thresholds=0.5)
    assert evaluate.mask_scores(counts, objects, shipped)["CR"]["recall"] == 0


def test_unsure_pixels_and_bright_background_in_structured_skies_do_not_count(tmp_path):
    left_out = [("CR", np.s_[0]), ("CR", np.s_[15])]
    write_scene(tmp_path / "a.npz", [("BBG", np.s_[:4]), ("NEB", np.s_[2, 2])], left_out)
    counts, _ = count_scenes([tmp_path / "a.npz"], oracle, NAMES)
    assert counts["CR"].sum() == 14 * 16
    assert counts["BBG"].sum() == 0
    assert counts["NEB"].sum() == 256


def test_an_object_is_found_by_half_of_its_pixels():
    mask, truth, unsure = np.zeros((3, 20, 20), bool)
    truth[2, 2:6] = mask[2, 2:4] = True
    # a piece that only touches its neighbour at a corner is of the same hit
    truth[8, 2:4] = truth[9, 4:8] = mask[9, 4:6] = True
    unsure[15, 4] = True
    mask[15, 4:6] = mask[18, 10] = True
    assert count_objects(mask, truth, ~unsure) == (2, 1, 1)
    assert count_objects(mask & False, truth, ~unsure) == (2, 0, 0)
    assert count_objects(mask, truth & False, ~unsure) == (0, 0, 3)


def test_track_scores():
    affected = np.array([True, True, False, False])
    scores = evaluate.track_scores(np.array([0.9, 0.4, 0.45, 0.1]), affected)
    assert scores["AUC"] == pytest.approx(0.75)
    assert scores["accuracy"] == pytest.approx(0.75)
    assert scores["highest without error"] == pytest.approx(0.45)


def test_calibration_finds_the_gain_and_offset_of_overconfident_answers():
    rng = np.random.default_rng(8)
    odds = rng.normal(0, 2, 20000)
    affected = rng.uniform(size=odds.size) < 1 / (1 + np.exp(-odds))
    overconfident = 1 / (1 + np.exp(-(2 * odds + 1)))
    gain, offset = evaluate.calibration(overconfident, affected)
    assert gain == pytest.approx(0.5, abs=0.03)
    assert offset == pytest.approx(-0.5, abs=0.05)


def test_the_command_compares_networks_and_writes_tables_and_plots(tmp_path, monkeypatch, capsys):
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    write_scene(scenes / "a.npz", [("CR", np.s_[3, 4:9])])
    shipped = recipe(training_priors=0.1, default_priors=0.1, thresholds=0.5)
    network = SimpleNamespace(path=tmp_path, recipe=shipped)
    monkeypatch.setattr(evaluate.networks, "find", lambda path, task: network)
    answers = {"good": oracle, "bad": lambda image: 1 - oracle(image)}
    monkeypatch.setattr(
        evaluate.maximask, "probabilities", lambda image, net_path: answers[net_path.name](image)
    )
    output = tmp_path / "out"
    evaluate.main([str(scenes), "--net_path", "good", "--net_path", "bad", "--output", str(output)])
    scores = json.loads((output / "scores.json").read_text())
    assert scores["good"]["CR"]["AUC"] == 1
    assert scores["bad"]["CR"]["AUC"] == 0
    assert (output / "scores.md").read_text() == capsys.readouterr().out
    assert (output / "roc.png").exists()
    assert (output / "reliability.png").exists()
