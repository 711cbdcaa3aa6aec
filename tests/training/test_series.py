"""Series of exposures with known hits, defects and a trail: truth in, truth out."""

import numpy as np
import pytest
from astropy.io import fits

pytest.importorskip("galsim", reason="the [training] extra is not installed")

from scipy.special import erf

from training import series
from training.comparison import compare
from training.registration import RegistrationError, distance, read_frame, register
from training.simulation.scenes import BIT
from training.simulation.sources import read_backgrounds, read_footprints

SHAPE, SKY, NOISE = (300, 320), 400.0, 20.0


def stars(rng, count=90):
    y, x = rng.uniform(-30, SHAPE[0] + 30, count), rng.uniform(-30, SHAPE[1] + 30, count)
    return y, x, 1500 * rng.pareto(0.8, count).clip(0.1, 120)


def draw(catalogue, shift, fwhm, scale=1.0):
    """Gaussian stars, integrated over pixels."""
    width = fwhm / 2.3548 * np.sqrt(2)
    light = np.zeros(SHAPE)
    for y, x, flux in zip(*catalogue, strict=True):
        edges = [
            np.arange(n + 1) - 0.5 - p for n, p in zip(SHAPE, np.add(shift, (y, x)), strict=True)
        ]
        down, across = (np.diff(erf(e / width)) / 2 for e in edges)
        light += scale * flux * down[:, None] * across
    return light


def tracks(rng, count=12):
    """Charge of straight tracks and spots, and where it exceeds 2.5 times the noise."""
    charge = np.zeros(SHAPE)
    for _ in range(count):
        start, angle = rng.uniform(15, 285, 2), rng.uniform(0, np.pi)
        length = rng.choice([2, 4, 12, 25])
        for step in np.arange(0, length, 0.2):
            place = start + step * np.array([np.sin(angle), np.cos(angle)])
            row, column = np.rint(place).astype(int)
            if 0 <= row < SHAPE[0] and 0 <= column < SHAPE[1]:
                charge[row, column] += rng.uniform(0.5, 1) * 0.2 * rng.choice([300, 800])
    return charge


class Night:
    """Exposures that drift, under seeing and transparency that change."""

    def __init__(self, steps, seed=1, trail_in=None):
        rng = np.random.default_rng(seed)
        catalogue = stars(rng)
        rows, columns = np.indices(SHAPE)
        self.hot = np.zeros(SHAPE)
        self.hot[tuple(rng.integers(5, 295, (2, 40)))] = rng.uniform(200, 2000, 40)
        self.column = np.zeros(SHAPE, bool)
        self.column[60:200, 150] = True
        self.dead = np.zeros(SHAPE, bool)
        self.dead[tuple(rng.integers(5, 295, (2, 15)))] = True
        self.dead &= (self.hot == 0) & ~self.column
        self.trail = 0.0
        self.hits, self.lights, self.images, self.frames = [], [], [], []
        for i, shift in enumerate(steps):
            fwhm, scale = 2.6 + 0.25 * (i % 3), 1 - 0.06 * (i % 4)
            light = draw(catalogue, np.array(shift), fwhm, scale)
            hit = tracks(rng)
            total = SKY + light
            if i == trail_in:
                away = (rows - 0.4 * columns - 90) / np.hypot(1, 0.4)
                self.trail = 60 * np.exp(-0.5 * (away / (fwhm / 2.3548)) ** 2)
                total = total + self.trail
            image = rng.poisson(total) + hit + rng.normal(0, 5, SHAPE)
            image += self.hot + 120 * self.column
            image[self.dead] -= 320
            self.hits.append(hit)
            self.lights.append(light)
            self.images.append(image.astype(np.float32))

    def registered(self):
        frames = [read_frame(f"exposure {i}", im, None, 1e6) for i, im in enumerate(self.images)]
        for frame in frames[1:]:
            register(frame, frames[0])
        return frames

    def strong(self, i):
        """Where the charge of hits exceeds 2.5 times the local noise."""
        return self.hits[i] > 2.5 * np.sqrt(SKY + self.lights[i] + 25)


def drift(count):
    return [(3.3 * i + 0.4, -2.7 * i + 0.3 * (i % 3)) for i in range(count)]


@pytest.fixture(scope="module")
def night():
    return Night(drift(8), trail_in=4)


@pytest.fixture(scope="module")
def verdicts(night):
    return [verdict for _, verdict in compare(night.registered(), gain=1.0)]


def shares(verdicts, truths, name):
    """Precision and recall of the pixels that are sure, and of the truth the share unsure."""
    found = right = there = doubt = 0
    for verdict, truth in zip(verdicts, truths, strict=True):
        positive = verdict.labels.positive & BIT[name] > 0
        unsure = verdict.labels.unsure & BIT[name] > 0
        found += positive.sum()
        right += (positive & truth).sum()
        there += (truth & ~unsure).sum()
        doubt += (truth & unsure).sum() / len(verdicts)
    return right / found, right / there, doubt * len(verdicts) / sum(t.sum() for t in truths)


def test_a_drifting_frame_is_laid_over_the_first_to_a_tenth_of_a_pixel(night):
    frames = night.registered()
    for frame, shift in zip(frames, drift(8), strict=True):
        middle = (np.array(SHAPE) - 1) / 2
        fitted = frame.matrix @ middle + frame.offset - middle
        assert fitted == pytest.approx(np.subtract(shift, drift(1)[0]), abs=0.1)
    assert frames[1].scale == pytest.approx(0.94, abs=0.01)
    widths = [(2.6 + 0.25 * k) / 2.3548 for k in (0, 2)]
    assert frames[2].blur == pytest.approx(widths[1] ** 2 - widths[0] ** 2, abs=0.15)


def test_a_frame_of_another_field_is_not_laid_over(night):
    frames = night.registered()
    other = read_frame("elsewhere", Night(drift(1), seed=9).images[0])
    with pytest.raises(RegistrationError, match="elsewhere"):
        register(other, frames[0])


def test_hits_come_out_and_stars_do_not(night, verdicts):
    truths = [night.strong(i) for i in range(8)]
    precision, recall, doubt = shares(verdicts, truths, "CR")
    print(f"CR precision {precision:.3f} recall {recall:.3f} unsure {doubt:.3f}")
    assert precision > 0.9
    assert recall > 0.95
    assert doubt < 0.25
    for i, verdict in enumerate(verdicts):
        cores = (night.lights[i] > 200) & (night.hits[i] == 0)
        assert not (verdict.labels.positive[cores] & BIT["CR"]).any()
        assert (verdict.labels.unsure[cores] & BIT["CR"] > 0).mean() < 0.3


def test_what_stays_while_the_sky_moves_is_a_defect(night, verdicts):
    for name, truth, least in (
        ("HP", night.hot > 160, 0.9),
        ("DP", night.dead, 0.8),
        ("HCL", night.column, 0.9),
    ):
        precision, recall, doubt = shares(verdicts[:1], [truth], name)
        print(f"{name} precision {precision:.3f} recall {recall:.3f} unsure {doubt:.3f}")
        assert precision > 0.95
        assert recall > least


def test_a_track_as_wide_as_a_star_is_a_trail_and_no_hit(night, verdicts):
    trail = night.trail > 0.8 * NOISE
    precision, recall, doubt = shares(verdicts[4:5], [trail], "TRL")
    print(f"TRL precision {precision:.3f} recall {recall:.3f} unsure {doubt:.3f}")
    assert precision > 0.8
    assert recall > 0.9
    assert not (verdicts[4].labels.positive[trail] & BIT["CR"]).any()
    assert not any((v.labels.positive & BIT["TRL"]).any() for v in verdicts[:4] + verdicts[5:])


def test_nothing_is_said_about_defects_where_the_sky_has_not_moved():
    night = Night([(0.1 * i, 0.2 * i) for i in range(3)])
    for frame, verdict in compare(night.registered(), gain=1.0):
        assert verdict.known == ["CR", "TRL"]
        hot = (night.hot > 160) & (night.hits[int(frame.name[-1])] == 0)
        assert not (verdict.labels.positive[hot] & BIT["CR"]).any(), frame.name


@pytest.mark.parametrize("width", [1, 4])
def test_a_column_that_one_exposure_shows_alone_is_neither_hit_nor_trail(width):
    night = Night(drift(4))
    night.images[2][:, 200 : 200 + width] += 100
    verdict = list(compare(night.registered(), gain=1.0))[2][1]
    column = verdict.labels.positive[:, 199 : 201 + width]
    alone = (night.hits[2] == 0)[:, 199 : 201 + width]
    assert not (column[alone] & (BIT["CR"] | BIT["TRL"])).any()


def test_bad_pixels_and_places_that_no_other_exposure_shows_are_unsure():
    night = Night([(0, 0), (40, 1), (41, 0)])
    bad = np.zeros(SHAPE, bool)
    bad[100:110, 100:110] = True
    frames = [read_frame(str(i), image, bad) for i, image in enumerate(night.images)]
    for frame in frames[1:]:
        register(frame, frames[0])
    assert distance(frames[0], frames[1]) == pytest.approx(40, abs=0.3)
    verdict = next(v for f, v in compare(frames) if f is frames[0])
    for place in (bad, np.s_[270:]):
        assert (verdict.labels.unsure[place] & BIT["CR"] > 0).all()


def test_the_command_writes_scenes_backgrounds_and_footprints(tmp_path, capsys):
    night = Night(drift(5))
    for i, image in enumerate(night.images):
        header = fits.Header({"INSTRUME": "cam", "FILTER": "r" if i < 4 else "g", "GAIN": 1.0})
        fits.PrimaryHDU(image, header).writeto(tmp_path / f"f{i}.fits")
    (tmp_path / "broken.fits").write_text("no image")
    out, hits = tmp_path / "out", tmp_path / "hits.fits"
    series.main([str(tmp_path), str(out), "--absent", "FR", "NEB", "--footprints", str(hits)])
    told = capsys.readouterr()
    assert "broken.fits" in told.err
    assert "cam g: fewer than 3 alike" in told.err
    assert [p.name for p in sorted(out.glob("*.npz"))] == [f"f{i}.npz" for i in range(4)]
    with np.load(out / "f0.npz") as scene:
        assert scene["image"] == pytest.approx(night.images[0])
        assert not (scene["positive"] & scene["unsure"]).any()
        assert (scene["unsure"] & BIT["OV"] > 0).all()
        assert not (scene["unsure"] & BIT["NEB"]).any()
        hit = scene["positive"] & BIT["CR"] > 0
    backgrounds = read_backgrounds(out)
    assert len(backgrounds) == 4
    assert (backgrounds[0].positive & BIT["CR"] > 0).sum() == hit.sum() > 0
    assert "OV" in backgrounds[0].unknown and "FR" not in backgrounds[0].unknown
    charges = [electrons.sum() for _, _, electrons in read_footprints(hits)]
    largest = max(hits.max() for hits in night.hits[:4])
    assert len(charges) > 10
    assert max(charges) > 2 * largest
