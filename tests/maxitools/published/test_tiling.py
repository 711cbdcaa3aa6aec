"""Tiles of the published networks: where their authors laid them."""

import numpy as np
import pytest

from maxitools.published.tiling import PublishedTiling, WholeTiling


@pytest.mark.parametrize("shape", [(400, 400), (401, 2000), (600, 700), (1333, 1501), (800, 1000)])
def test_published_tiles_win_in_the_published_order(shape):
    height, width = shape
    grid = [(y, x) for y in range(0, height - 399, 200) for x in range(0, width - 399, 200)]
    ys, xs = sorted({y for y, _ in grid}), sorted({x for _, x in grid})
    order = list(grid)
    if height % 400:
        order += [(height - 400, x) for x in xs]
    if width % 400:
        order += [(y, width - 400) for y in ys]
    if height % 400 and width % 400:
        order.append((height - 400, width - 400))
    expected = np.zeros((*shape, 2), int)
    for y, x in order:
        top, left = (0 if y == 0 else y + 100), (0 if x == 0 else x + 100)
        bottom = height if y == height - 400 else y + 300
        right = width if x == width - 400 else x + 300
        expected[top:bottom, left:right] = y, x
    found = np.full((*shape, 2), -1)
    tiling = PublishedTiling()
    for y in tiling.spans(height):
        for x in tiling.spans(width):
            found[y.first : y.last, x.first : x.last] = y.start, x.start
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [100, 400, 600, 1333, 1848, 2048, 4096])
def test_blocks_join_successive_published_tiles(size):
    tiling = PublishedTiling(3)
    alone, joined = PublishedTiling().spans(size), tiling.spans(size)
    tiles = [[b.start + start for start in tiling.starts(b.stop - b.start)] for b in joined]
    assert [start for block in tiles for start in block] == [span.start for span in alone]
    # Those that are joined share the pixels of layers pooled three times.
    assert all((start - block[0]) % 8 == 0 for block in tiles for start in block)
    assert all(len(block) <= 3 for block in tiles)
    edges = [block.first for block in joined] + [joined[-1].last]
    assert {*edges} <= {span.first for span in alone} | {size}
    assert edges == sorted(edges)
    assert [block.last for block in joined] == edges[1:]


def test_whole_tiles_leave_the_margin_where_it_belongs():
    assert [s.start for s in WholeTiling(400, centred=True).spans(1000)] == [100, 500]
    assert [s.start for s in WholeTiling(400, centred=False).spans(1000)] == [200, 600]
    assert [s.start for s in WholeTiling(400, centred=True).spans(300)] == [0]
