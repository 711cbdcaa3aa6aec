"""The lines of logs -> the exposures of a night."""

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from maxitools.classes import NAMES

STATUSES = ("failed", "done", "skipped")


@dataclass
class Exposure:
    """
    What the logs tell of one file.

    Attributes
    ----------
    file : str
        Its path.
    statuses, messages : dict
        By command: one of `STATUSES`, and why it failed.
    hdus : dict of dict
        By command, then by number: the last line of each HDU.
    preview : str or None
        Path of its picture.
    probability : float or None
        That its tracking failed.
    """

    file: str
    statuses: dict = field(default_factory=dict)
    messages: dict = field(default_factory=dict)
    hdus: dict = field(default_factory=dict)
    preview: str = None
    probability: float = None

    @property
    def name(self):
        return Path(self.file).name

    @property
    def status(self):
        """The worst of the commands'."""
        return min(self.statuses.values(), key=STATUSES.index)

    @property
    def shares(self):
        """Share of the pixels of each class that was found, by name."""
        found = Counter()
        total = sum(pixels for _, _, pixels in self.detectors())
        for _, shares, pixels in self.detectors():
            for name, share in shares.items():
                found[name] += share * pixels / total
        return {name: found[name] for name in NAMES if found[name]}

    def detectors(self):
        """Name, shares and number of pixels of each HDU with masks."""
        hdus = self.hdus.get("maximask", {})
        return [
            (_text(line, "extname") or f"HDU {number}", _shares(line), _pixels(line))
            for number, line in hdus.items()
        ]

    def told(self, key):
        """What the first HDU that tells of it says: "date_obs", "filter" or "exptime"."""
        get = _number if key == "exptime" else _text
        lines = [line for hdus in self.hdus.values() for line in hdus.values()]
        return next((value for line in lines if (value := get(line, key)) is not None), None)


@dataclass
class Night:
    """
    What logs tell.

    Attributes
    ----------
    exposures : list of Exposure
        By date of observation, then by name.
    hosts : set of str
        The machines that worked.
    broken : dict
        By log: the numbers of the lines that cannot be read.
    """

    exposures: list
    hosts: set
    broken: dict


def read_logs(paths):
    """
    Read what the commands wrote to their logs.

    The last line about a file counts, and the lines about its HDUs that came with it. A file that
    was skipped keeps what earlier lines tell, as that is what was found in it.

    Parameters
    ----------
    paths : sequence of path-like
        Logs of both commands, of one machine or of many.

    Returns
    -------
    Night

    Raises
    ------
    OSError
        When a log cannot be read.
    """
    exposures, hosts, broken = {}, set(), {}
    # The lines about HDUs since the last one about their file.
    waiting = {}
    for path in paths:
        with open(path, encoding="utf-8", errors="replace") as log:
            for number, text in enumerate(log, 1):
                if not text.strip():
                    continue
                line = _line(text)
                if line is None:
                    broken.setdefault(str(path), []).append(number)
                    continue
                hosts.add(_text(line, "host") or "unknown")
                key = line["file"], line["command"]
                if line["type"] == "hdu":
                    waiting.setdefault(key, {})[line["hdu"]] = line
                else:
                    exposure = exposures.setdefault(line["file"], Exposure(line["file"]))
                    _update(exposure, line, waiting.pop(key, {}))
    ordered = sorted(exposures.values(), key=lambda each: (each.told("date_obs") or "~", each.name))
    return Night(ordered, hosts, broken)


def _line(text):
    """A line of a log, or None."""
    try:
        line = json.loads(text)
        good = isinstance(line["file"], str) and line["command"] in ("maximask", "maxitrack")
        if line["type"] == "hdu":
            good &= isinstance(line["hdu"], int)
        else:
            good &= line["type"] == "file" and line["status"] in STATUSES
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return line if good else None


def _update(exposure, line, hdus):
    command, status = line["command"], line["status"]
    if status == "skipped" and exposure.statuses.get(command) == "done":
        return
    exposure.statuses[command], exposure.hdus[command] = status, hdus
    exposure.messages[command] = _text(line, "message")
    if command == "maximask":
        exposure.preview = _text(line, "preview")
    else:
        exposure.probability = _number(line, "probability")


def _text(line, key):
    value = line.get(key)
    return value if isinstance(value, str) and value else None


def _number(line, key):
    value = line.get(key)
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None


def _shares(line):
    shares = line.get("shares")
    shares = shares if isinstance(shares, dict) else {}
    numbers = {name: _number(shares, name) for name in NAMES}
    return {name: share for name, share in numbers.items() if share is not None}


def _pixels(line):
    shape = line.get("shape")
    good = isinstance(shape, list) and all(isinstance(n, int) and n > 0 for n in shape)
    return math.prod(shape) if good else 1
