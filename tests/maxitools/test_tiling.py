"""Tiles: each pixel answered once, by the tile that should."""

import numpy as np
import pytest

from maxitools.tiling import HaloTiling, batches, tiles


@pytest.mark.parametrize("size", [1, 20, 127, 128, 129, 300, 1000, 2048])
def test_halo_tiles_answer_each_pixel_once_away_from_their_borders(size):
    spans = HaloTiling(128, 16, 32).spans(size)
    (length,) = {span.stop - span.start for span in spans}
    assert length % 32 == 0 and length <= 128
    answered = np.concatenate([np.arange(span.first, span.last) for span in spans])
    np.testing.assert_array_equal(answered, np.arange(size))
    for span in spans:
        assert span.first == 0 or span.first - span.start >= 16
        assert span.last == size or span.stop - span.last >= 16
        assert span.start >= 0 and span.stop <= max(size, length)


def test_halo_tiles_are_few():
    spans = HaloTiling(1152, 64, 32).spans(4096)
    assert [span.stop - span.start for span in spans] == [1120] * 4


def test_tiles_hold_the_pixels_of_their_place_and_mirror_beyond_the_image():
    image = np.arange(40 * 100.0).reshape(40, 100, 1)
    for tile in tiles(lambda a, b: image[a:b], (40, 100), HaloTiling(64, 8, 32)):
        assert tile.pixels.shape == (64, 64, 1)
        columns = slice(tile.columns.start, tile.columns.start + 64)
        np.testing.assert_array_equal(tile.pixels[:40], image[:, columns])
        np.testing.assert_array_equal(tile.pixels[40:], image[39:15:-1, columns])


def test_batches_are_full_but_the_last():
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
