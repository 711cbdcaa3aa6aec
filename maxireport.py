#!/usr/bin/env python3
"""
Make the page of a night from the logs of maximask and maxitrack.

`maxireport LOG... -o night.html` writes one file that opens in a browser from disk.
"""

import maxitools.interrupts  # noqa: F401  # isort: skip

import argparse
import base64
import hashlib
import io
import os
import sys
from pathlib import Path
from urllib.parse import quote

from maxitools import process
from maxitools.atomic import whole_file
from maxitools.classes import CLASSES
from maxitools.messages import refuse, say
from maxitools.nights import STATUSES, read_logs

# Imports that take time wait until the arguments are known to be good.

# Longest side of the small pictures in the table, in pixels.
_SMALL = 120


def _parser():
    parser = argparse.ArgumentParser(
        prog="maxireport",
        description="Make the page of a night from what maximask and maxitrack logged.",
    )
    parser.add_argument("logs", nargs="+", metavar="LOG", help="file of --log, of either command")
    parser.add_argument(
        "-o",
        "--output",
        default="night.html",
        metavar="PAGE",
        help="page to write (default: night.html)",
    )
    return parser


def main(argv=None):
    """
    Run the command.

    Parameters
    ----------
    argv : list of str, optional
        Arguments; those of the process when not given.

    Returns
    -------
    int
        Exit status: 0 when the page was written, 1 when it could not be. Usage errors exit with 2,
        and signals with 128 and their number.
    """
    return process.run("maxireport", _main, argv)


def _main(argv):
    arguments = _parser().parse_args(argv)
    try:
        night = read_logs(arguments.logs)
    except OSError as error:
        refuse("maxireport", f"{error.filename}: cannot be read ({error.strerror})")
    for log, numbers in night.broken.items():
        some = "1 line is" if len(numbers) == 1 else f"{len(numbers)} lines are"
        say(f"maxireport: {log}: {some} left out, the first of them line {numbers[0]}")
    if not night.exposures:
        say("maxireport: the logs tell of no file")
        return 1
    try:
        text = page(night, Path(arguments.output).resolve().parent)
        with whole_file(arguments.output) as file:
            # Names of files need be no text.
            file.write(text.encode(errors="replace"))
    except ImportError as error:
        refuse("maxireport", error)
    except OSError as error:
        say(f"maxireport: {arguments.output}: cannot be written ({error.strerror})")
        return 1
    return 0


def page(night, folder):
    """
    The page of a night.

    Parameters
    ----------
    night : maxitools.nights.Night
    folder : path-like
        Where the page will lie: it leads to the pictures from there.

    Returns
    -------
    str
        HTML that asks for nothing but the pictures of exposures.

    Raises
    ------
    ImportError
        When a library that it takes is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader
        from markupsafe import Markup

        from maxitools import plots
    except ImportError as error:
        hint = "pages need Jinja2 and matplotlib: pip install 'maximask-maxitrack[report]'"
        raise ImportError(hint) from error

    environment = Environment(
        loader=PackageLoader("maxitools", "report"), autoescape=True, trim_blocks=True
    )
    script = environment.get_template("page.js").render()
    exposures = night.exposures
    found = {name for each in exposures for name in each.shares}
    classes = [known for known in CLASSES if known.code and known.name in found]
    drawn = [
        {"caption": caption, "svg": Markup(svg), "wide": wide}
        for caption, draw, wide in (
            ("Share of the pixels in each class, over time", plots.shares_over_time, True),
            ("Mean share of each class in each detector", plots.shares_per_detector, False),
            ("Probability that tracking failed; crosses are above 0.5", plots.tracking, False),
        )
        if (svg := draw(exposures))
    ]
    rows = _rows(exposures, classes, folder)
    return environment.get_template("page.html.j2").render(
        title=_title(exposures),
        facts=_facts(night),
        failures=[
            (each, command, each.messages[command])
            for each in exposures
            for command, status in each.statuses.items()
            if status == "failed"
        ],
        plots=drawn,
        headings=_headings(classes),
        classes=classes,
        statuses=[each for each in STATUSES if each in {row["status"] for row in rows}],
        rows=rows,
        any_small=any(row["small"] for row in rows),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _headings(classes):
    columns = [
        ("name", "Name", "", False),
        ("date", "Date", "Date of observation", False),
        ("filter", "Filter", "", False),
        ("exptime", "Time, s", "Exposure time in seconds", True),
        ("status", "Status", "", False),
        ("tracking", "Tracking", "Probability that tracking failed", True),
        *((known.name, known.name, known.title, True) for known in classes),
    ]
    return [dict(zip(("key", "label", "title", "number"), each, strict=True)) for each in columns]


def _title(exposures):
    days = sorted({date[:10] for each in exposures if (date := each.told("date_obs"))})
    if not days:
        return "Exposures"
    return f"Exposures of {days[0]}" if len(days) == 1 else f"Exposures of {days[0]} to {days[-1]}"


def _facts(night):
    """Numbers, what they count, and whether they are bad news."""
    exposures = night.exposures
    failed = sum(each.status == "failed" for each in exposures)
    judged = [each.probability for each in exposures if each.probability is not None]
    facts = [(len(exposures), "exposures", False), (failed, "failed", failed > 0)]
    if judged:
        bad = sum(probability > 0.5 for probability in judged)
        facts.append((bad, "probably with bad tracking", bad > 0))
    if len(night.hosts) > 1:
        facts.append((len(night.hosts), "machines", False))
    if night.broken:
        facts.append((sum(map(len, night.broken.values())), "lines of the logs left out", True))
    return facts


def _rows(exposures, classes, folder):
    """The exposures as the table shows them."""
    from tqdm.contrib.concurrent import thread_map

    smalls = thread_map(
        _small, [each.preview for each in exposures], max_workers=2, unit="picture", disable=None
    )
    return [
        {
            "file": each.file,
            "name": each.name,
            "date": (each.told("date_obs") or "").replace("T", "\n").partition(".")[0],
            "filter": each.told("filter") or "",
            "exptime": each.told("exptime"),
            "exptime_text": _shown(each.told("exptime")),
            "status": each.status,
            "tracking": each.probability,
            "tracking_text": "" if each.probability is None else f"{each.probability:.3f}",
            "shares": [_share(each.shares.get(known.name, 0.0)) for known in classes],
            "href": each.preview and quote(os.fsencode(os.path.relpath(each.preview, folder))),
            **small,
        }
        for each, small in zip(exposures, smalls, strict=True)
    ]


def _shown(value):
    return "" if value is None else f"{value:g}"


def _share(share):
    """A share as a cell shows it: in percent, on a darker ground the larger it is."""
    percent = 100 * share
    shade = sum(percent >= limit for limit in (0.01, 0.1, 1, 10))
    text = "" if not share else f"{percent:.3f}" if percent < 1 else f"{percent:.1f}"
    return {
        "value": share and f"{share:.3g}",
        "text": "<0.001" if share and percent < 0.0005 else text,
        "shade": f" s{shade}" if shade else "",
    }


def _small(path):
    """A small copy of a picture, as text, and its size; none where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path or "") as picture:
            small = picture.convert("RGB")
    except Exception:
        # A damaged picture makes its reader raise nearly any type.
        return {"small": None, "size": None}
    small.thumbnail((_SMALL, _SMALL), reducing_gap=1.0)
    buffer = io.BytesIO()
    small.save(buffer, "webp", quality=50)
    return {"small": base64.b64encode(buffer.getvalue()).decode(), "size": small.size}


if __name__ == "__main__":
    sys.exit(main())
