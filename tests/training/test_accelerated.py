"""Training by the clock: its rate, and scenes that appear while it goes on."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from training.accelerated import Feed, rate_at
from training.masking import CROP


def test_rate_rises_then_falls_to_a_thousandth():
    assert rate_at(0, 1) == pytest.approx(0.01)
    assert rate_at(0.05, 1) == pytest.approx(1)
    assert rate_at(0.525, 1) == pytest.approx(0.5, abs=0.001)
    assert rate_at(1, 1) == pytest.approx(1e-3)
    assert rate_at(2, 1) == pytest.approx(1e-3)


def write_scene(folder, index):
    shape = (CROP, CROP)
    rng = np.random.default_rng(index)
    part = folder / f"scene_{index}.part"
    with open(part, "wb") as file:
        np.savez(
            file,
            image=rng.normal(100, 5, shape).astype(np.float32),
            positive=np.full(shape, 1 << 13, np.uint16),
            unsure=np.zeros(shape, np.uint16),
        )
    part.rename(part.with_suffix(".npz"))


def test_scenes_join_as_they_appear(tmp_path):
    options = SimpleNamespace(scenes=tmp_path, size=CROP, chunk=2, most=2, held=0, loaders=1)
    feed = Feed(options)
    reader = threading.Thread(target=feed.run, args=[np.asarray])
    reader.start()
    try:
        for index in range(4):
            write_scene(tmp_path, index)
        give_up = time.monotonic() + 60
        while feed.loaded < 4 and time.monotonic() < give_up and not feed.error:
            time.sleep(0.1)
    finally:
        feed.stopped = True
        reader.join()
    assert feed.error is None and feed.loaded == 4
    # The device holds the latest two.
    (chunk,) = feed.chunks
    assert [part.shape for part in chunk] == [(2, CROP, CROP, 2), (2, CROP, CROP, 3)]
    assert feed.shares[13] == 1 and feed.shares[:13].sum() == 0
