"""Outlines of the masks over the grey image, drawn as the masks come."""

from collections import Counter

import numpy as np
from astropy.io import fits
from astropy.visualization import ZScaleInterval

from maxitools.classes import BY_NAME, NAMES
from maxitools.frames import described
from maxitools.mosaics import places

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError as error:
    hint = "pictures need Pillow: pip install 'maximask-maxitrack[report]'"
    raise ImportError(hint) from error

# Longest side of what is drawn and least width of a picture with its words, in its pixels.
_SIDE, _WIDTH = 1600, 700
# Side up to which the pixels of a small image are shown as squares.
_ENLARGED = 1000
# Pixels that all detectors of a file may keep, of some six bytes each.
_MOST_KEPT = 4_000_000

_ORANGE, _ICE, _GREEN = (255, 136, 39), (217, 255, 255), (94, 237, 164)
_YELLOW, _BLUE, _RED, _PINK = (249, 250, 67), (83, 120, 230), (215, 33, 7), (232, 167, 240)

# Colours that stay apart from each other and from the greys for every kind of colour vision: by at
# least 20 in CAM02-UCS, as Machado, Oliveira & Fernandes (2009) simulate it. Most serve twice:
# whole lines are for what is small, broken ones for what is large or has a halo. What comes later
# lies over what comes before.
LINES = {
    "FR": (_ICE, "broken"),
    "NEB": (_GREEN, "broken"),
    "BBG": (_BLUE, "broken"),
    "OV": (_ORANGE, "broken"),
    "P": (_PINK, "broken"),
    "SAT": (_RED, "broken"),
    "SP": (_PINK, "whole"),
    "TRL": (_GREEN, "whole"),
    "DCL": (_ICE, "whole"),
    "HCL": (_ORANGE, "whole"),
    "DP": (_BLUE, "whole"),
    "HP": (_YELLOW, "whole"),
    "CR": (_RED, "whole"),
}

# The palette of a picture: greys from black to white, then the colours. Images are kept below the
# white, for the lines to stand out.
_GREYS, _BLACK, _WHITE = 128, 12, 90
_PALETTE = [(round(255 * i / (_GREYS - 1)),) * 3 for i in range(_GREYS)]
_PALETTE += [colour for colour, _ in LINES.values()]
# Sizes of the words around an image, in pixels.
_MARGIN, _TEXT, _ROW, _SWATCH = 8, 14, 22, 10


class Detector:
    """
    What a picture keeps of an image and its masks: both, reduced to the picture's pixels.

    Grey is the mean of the pixels that one of the picture's stands for. Of the masks it has every
    class that any of them has, so that a track one pixel wide stays visible.

    Parameters
    ----------
    image : ndarray, (H, W)
        Pixel values in any real type and unit; what is not finite is left out.
    *headers : astropy.io.fits.Header
        Of the image, then of its file.

    Attributes
    ----------
    label : str
        What to call it.
    counts : collections.Counter
        Pixels of each class, by name.
    step : int
        Side of the squares of pixels that became one each.
    """

    def __init__(self, image, *headers):
        self.shape, self.headers, self.label = image.shape, headers, ""
        self.counts = Counter()
        self.step = -(-max(image.shape) // _SIDE)
        self.grey = _mean(image, self.step)
        self.codes = np.zeros(self.grey.shape, np.int16)

    def add_rows(self, first, planes, names):
        """
        Take rows of the masks.

        Parameters
        ----------
        first : int
            The first of them.
        planes : ndarray, (C, rows, W)
            Not 0 where a pixel belongs to the class.
        names : sequence of str
            The classes.
        """
        # Of the picture's first row, so many may have come with an earlier strip.
        start, begun = divmod(first, self.step)
        for name, plane in zip(names, planes, strict=True):
            number = np.count_nonzero(plane)
            self.counts[name] += number
            if number and BY_NAME[name].code:
                found = _reduced(plane != 0, self.step, np.logical_or, begun)
                self.codes[start : start + len(found)] |= found * np.int16(BY_NAME[name].code)

    def halve(self):
        """Keep half as many rows and columns."""
        self.grey, self.codes = _mean(self.grey, 2), _reduced(self.codes, 2, np.bitwise_or)
        self.step *= 2


class Picture:
    """
    The picture of a file: its detectors in their places, each in the greys of its own zscale.

    Parameters
    ----------
    name : str
        What to call the file.
    """

    def __init__(self, name=""):
        self._name, self._detectors = name, []

    def add(self, detector):
        """
        Take one more detector; its masks may come later.

        Parameters
        ----------
        detector : Detector
        """
        self._detectors.append(detector)
        while sum(each.codes.size for each in self._detectors) > _MOST_KEPT:
            finest = min(each.step for each in self._detectors)
            for each in self._detectors:
                if each.step == finest:
                    each.halve()

    def draw(self):
        """
        Draw what has come.

        Returns
        -------
        PIL.Image.Image
            In 141 colours.
        """
        image, labels = self._image()
        width = max(_WIDTH, image[0].shape[1] + 2 * _MARGIN)
        parts = [_head(self._words(), width), _framed(image, width), _legend(self.shares(), width)]
        grey, codes = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        left, top = (width - image[0].shape[1]) // 2, len(parts[0][0]) + _MARGIN
        lines = _outlined(grey, codes)
        picture = Image.fromarray(
            _write(lines, [(left + x, top + y, text) for x, y, text in labels])
        )
        picture.putpalette(np.ravel(_PALETTE).tolist())
        return picture

    def shares(self):
        """
        How much of the pixels the classes have.

        Returns
        -------
        dict
            Share, from 0 to 1, by name, of the classes that were found.
        """
        counts = sum((each.counts for each in self._detectors), Counter())
        pixels = sum(each.shape[0] * each.shape[1] for each in self._detectors)
        return {name: counts[name] / pixels for name in NAMES if counts[name]}

    def _image(self):
        """Greys and codes of all detectors, the top row first, and what to write where."""
        headers = [each.headers[0] if each.headers else fits.Header() for each in self._detectors]
        found = places(headers, [each.shape for each in self._detectors])
        left, bottom = min(p.left for p in found), min(p.bottom for p in found)
        width = max(p.left + p.width for p in found) - left
        height = max(p.bottom + p.height for p in found) - bottom
        turned = [
            (place, place.turned(each.grey), place.turned(each.codes))
            for place, each in zip(found, self._detectors, strict=True)
        ]
        # No detector is drawn larger than it was kept.
        scale = min(
            _SIDE / max(width, height),
            *(codes.shape[1] / place.width for place, _, codes in turned),
            *(codes.shape[0] / place.height for place, _, codes in turned),
        )
        shape = [max(1, round(scale * size)) for size in (height, width)]
        # The pixels of a small image are shown as squares.
        enlarged = max(1, _ENLARGED // max(shape))
        grey, codes = np.zeros(shape, np.uint8), np.zeros(shape, np.int16)
        labels = []
        for (place, its_grey, its_codes), each in zip(turned, self._detectors, strict=True):
            x = min(round(scale * (place.left - left)), shape[1] - 1)
            y = min(round(scale * (place.bottom - bottom)), shape[0] - 1)
            size = [max(1, round(scale * n)) for n in (place.height, place.width)]
            rows, columns = slice(y, y + size[0]), slice(x, x + size[1])
            into = codes[rows, columns]
            into |= _fitted(its_codes, np.bitwise_or, into.shape)
            ones = _fitted(np.ones_like(its_grey), np.add, into.shape)
            grey[rows, columns] = _zscaled(_fitted(its_grey, np.add, into.shape) / ones)
            room = [enlarged * n for n in into.shape]
            if len(found) > 1 and room[1] > _font().getlength(each.label) and room[0] > 3 * _ROW:
                top = enlarged * (shape[0] - y) - room[0]
                labels.append((enlarged * x, top, each.label))
        grey, codes = (
            array[::-1].repeat(enlarged, 0).repeat(enlarged, 1) for array in (grey, codes)
        )
        return (grey, codes), labels

    def _words(self):
        first = self._detectors[0]
        number = len(self._detectors)
        words = [self._name, first.label if number == 1 else f"{number} images"]
        exposure = described(*first.headers)
        words += [exposure["date_obs"], exposure["filter"]]
        if exposure["exptime"] is not None:
            words.append(f"{exposure['exptime']:g} s")
        return [word for word in words if word]


def _along(array, step, join, begun=0):
    """Join each `step` rows to one, the first of which had `begun` of them before."""
    if step == 1:
        return array
    joined = np.zeros((-(-(begun + len(array)) // step), *array.shape[1:]), array.dtype)
    # One row of every group at a time: ten times as fast as `reduceat`.
    for place in range(step):
        skipped = (place - begun) % step
        part = array[skipped::step]
        group = (begun + skipped) // step
        into = joined[group : group + len(part)]
        join(into, part, out=into)
    return joined


def _reduced(array, step, join, begun=0):
    """Join each `step` x `step` pixels to one."""
    return _along(_along(array, step, join, begun).T, step, join).T


def _mean(image, step):
    """Mean of the finite pixels of each `step` x `step`; NaN where there is none."""
    # A few rows at a time, as what they take is as large as they are.
    strips = (image[first : first + 64 * step] for first in range(0, len(image), 64 * step))
    return np.concatenate([_mean_rows(strip, step) for strip in strips])


def _mean_rows(image, step):
    with np.errstate(all="ignore"):
        sums = _reduced(image.astype(np.float32, copy=False), step, np.add)
        if np.isfinite(sums).all():
            numbers = (_along(np.ones(n, np.float32), step, np.add) for n in image.shape)
            return sums / np.outer(*numbers)
        finite = np.isfinite(image)
        sums = _reduced(np.where(finite, image, 0).astype(np.float32), step, np.add)
        return sums / _reduced(finite.astype(np.float32), step, np.add)


def _fitted(array, join, shape):
    """Join pixels until there are no more than `shape` of them."""
    for axis, size in enumerate(shape):
        if size < array.shape[axis]:
            starts = np.arange(size) * array.shape[axis] // size
            array = join.reduceat(array, starts, axis=axis)
    return array


def _zscaled(grey):
    """Pixel values as greys of the palette; black where there is none."""
    # It looks at a thousand pixels, so it need not be given them all.
    sample = grey[::3, ::3].astype(np.float64)
    if not np.isfinite(sample).any():
        return np.zeros(grey.shape, np.uint8)
    low, high = ZScaleInterval().get_limits(sample)
    scale = (_WHITE - _BLACK) / ((high - low) or 1)
    with np.errstate(all="ignore"):
        scaled = np.clip(
            grey * np.float32(scale) + np.float32(_BLACK - low * scale), _BLACK, _WHITE
        )
        return np.nan_to_num(scaled, copy=False).astype(np.uint8)


def _outlined(grey, codes):
    """Greys with a line, two pixels wide, around what has a code."""
    grown = codes
    for _ in range(2):
        grown = np.pad(grown, 1)
        grown = grown[:-2] | grown[1:-1] | grown[2:]
        grown = grown[:, :-2] | grown[:, 1:-1] | grown[:, 2:]
    rows, columns = np.nonzero(grown & ~codes)
    lines = (grown & ~codes)[rows, columns]
    dashes = (columns + 2 * rows) % 12 < 7
    picture = grey.copy()
    for colour, (name, (_, style)) in enumerate(LINES.items(), _GREYS):
        drawn = lines & BY_NAME[name].code != 0
        if style == "broken":
            drawn &= dashes
        picture[rows[drawn], columns[drawn]] = colour
    return picture


def _framed(image, width):
    """Greys and codes in the middle of a black band, with room for lines around them."""
    sides = (width - image[0].shape[1]) // 2
    rest = width - image[0].shape[1] - sides
    return [np.pad(array, ((_MARGIN, _MARGIN), (sides, rest))) for array in image]


def _blank(rows, width):
    """Greys and codes of a black band for rows of words."""
    shape = rows * _ROW + _MARGIN, width
    return np.zeros(shape, np.uint8), np.zeros(shape, np.int16)


def _write(grey, words):
    """Greys with words (x, y, text), white on black."""
    image = Image.fromarray(grey)
    draw = ImageDraw.Draw(image)
    for x, y, text in words:
        draw.rectangle((x, y, x + _font().getlength(text), y + _ROW), 0)
        draw.text((x, y), text, _GREYS - 1, _font())
    return np.array(image)


def _font():
    return ImageFont.load_default(_TEXT)


def _fitting(text, width):
    """A text on one line, without its middle where it is too long."""
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    shown, kept = text, len(text)
    while (length := _font().getlength(shown)) > width:
        kept = min(kept - 1, int(kept * width / length))
        shown = f"{text[: kept // 2]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - kept // 2 :]}"
    return shown


def _head(words, width):
    """A band with words, side by side while there is room."""
    placed, x, row = [], _MARGIN, 0
    for word in words:
        text = _fitting(word, width - 2 * _MARGIN)
        length = _font().getlength(text)
        if placed and x + length > width - _MARGIN:
            x, row = _MARGIN, row + 1
        placed.append((x, row * _ROW + _MARGIN // 2, text))
        x += length + 2 * _TEXT
    grey, codes = _blank(row + 1, width)
    return _write(grey, placed), codes


def _legend(shares, width):
    """A band with the line, the name and the share of each class."""
    drawn = [BY_NAME[name] for name in shares if BY_NAME[name].code]
    texts = [f"{known.name}  {known.title}  {_percent(shares[known.name])}" for known in drawn]
    texts = texts or ["nothing found"]
    wide = 2 * _SWATCH + round(max(map(_font().getlength, texts))) + 2 * _TEXT
    columns = max(1, (width - 2 * _MARGIN) // wide)
    rows = -(-len(texts) // columns)
    grey, codes = _blank(rows, width)
    placed = []
    for i, text in enumerate(texts):
        x, y = _MARGIN + i // rows * wide, i % rows * _ROW
        placed.append((x + 2 * _SWATCH, y, text))
        if drawn:
            square = np.s_[y + 4 : y + 4 + _SWATCH, x + 2 : x + 2 + _SWATCH]
            codes[square] = drawn[i].code
            grey[square] = (_BLACK + _WHITE) // 2
    return _write(grey, placed), codes


def _percent(share):
    percent = 100 * share
    if percent < 0.001:
        return "< 0.001 %"
    return f"{percent:.3f} %" if percent < 1 else f"{percent:.1f} %"
