"""The page of a night: what the logs tell is in it, as text, and nothing else is."""

import json
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import ROOT, command
from PIL import Image

import maxireport

HOSTILE = "--></script><img src=x onerror='window.hacked=1'>\"'&{{ 7 * 7 }}$x$\ud800\x07\u2603"
# Half a character shows as a question mark.
SHOWN = HOSTILE.replace("\ud800", "?")


def lines(name, folder, **told):
    """Log lines of both commands about an exposure of two detectors."""
    told = {"status": "done", "message": None, "date": None, "probability": 0.1, **told}
    preview = folder / f"{name}.masks.png".replace("/", "")
    if told["status"] == "done":
        Image.fromarray(np.full((90, 120), 50, np.uint8)).save(preview)
    common = {
        "host": "one",
        "path": name,
        "file": f"{folder}/{name}",
        "time": "2026-01-01T00:00:00Z",
    }
    mask = {**common, "command": "maximask"}
    track = {**common, "command": "maxitrack", "type": "file", "status": "done"}
    hdus = [
        {
            **mask,
            "type": "hdu",
            "hdu": hdu,
            "extname": told.get("extname", f"CCD{hdu}"),
            "shape": [100, 200],
            "date_obs": told["date"],
            "filter": told.get("filter", "r"),
            "exptime": 60.0,
            "shares": {key: factor * share for key, share in told.get("shares", {}).items()},
        }
        for hdu, factor in ((1, 0.5), (2, 1.5))
    ]
    whole = {
        **mask,
        "type": "file",
        "status": told["status"],
        "message": told["message"],
        "preview": str(preview) if told["status"] == "done" else None,
    }
    return [*hdus, whole, {**track, "probability": told["probability"]}]


def night(folder):
    """The log of a night with a failure, a lost guide star and a hostile name."""
    return [
        *lines("a.fits", folder, date="2026-01-01T20:00:00", shares={"CR": 0.002, "BG": 0.9}),
        *lines("b.fits", folder, date="2026-01-01T21:00:00", shares={"CR": 0.2}, probability=0.75),
        *lines("c.fits", folder, date="2026-01-01T22:00:00", shares={"TRL": 0.01, "CR": 0.02}),
        *lines("d.fits", folder, status="failed", message="HDU 3 cannot be read"),
        *lines(
            HOSTILE,
            folder,
            date=HOSTILE,
            filter=HOSTILE,
            extname=HOSTILE,
            status="failed",
            message=HOSTILE,
            shares={"CR": 1e-7},
        ),
    ]


@pytest.fixture
def page(here):
    """Make a page of lines; its text."""

    def page(lines):
        log = here / "night.log"
        log.write_text(
            "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
        )
        assert maxireport.main(["night.log", "-o", "night.html"]) == 0
        return (here / "night.html").read_text()

    return page


class Table(HTMLParser):
    """The cells of a page's table, as a reader without scripts has them."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.links = [], []
        self.feed(text[text.index("<table>") : text.index("</table>")])

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "a":
            self.links.append(dict(attributes)["href"])
        else:
            assert tag in ("table", "thead", "tbody", "span", "img"), f"an unexpected <{tag}>"

    def handle_data(self, text):
        if self.rows and self.rows[-1] and text.strip():
            self.rows[-1][-1] += text


def column(table, name):
    place = table.rows[0].index(name)
    return {row[1]: row[place] for row in table.rows[1:]}


def test_the_table_tells_what_the_logs_tell(page, here):
    table = Table(page(night(here)))
    assert column(table, "Status") == {
        "a.fits": "done",
        "b.fits": "done",
        "c.fits": "done",
        "d.fits": "failed",
        SHOWN.rpartition("/")[2]: "failed",
    }
    # Of all pixels, in percent.
    assert column(table, "CR")["a.fits"] == "0.200"
    assert column(table, "CR")["b.fits"] == "20.0"
    assert column(table, "TRL")["a.fits"] == "" and column(table, "TRL")["c.fits"] == "1.0"
    assert column(table, "Tracking")["b.fits"] == "0.750"
    assert column(table, "Date")["c.fits"] == "2026-01-01\n22:00:00"
    assert "BG" not in table.rows[0] and "HP" not in table.rows[0]
    assert [row[1] for row in table.rows[-4:]] == ["a.fits", "b.fits", "c.fits", "d.fits"]


def test_failures_come_first_with_their_messages(page, here):
    text = page(night(here))
    assert text.index("HDU 3 cannot be read") < text.index("<svg") < text.index("<table>")


def test_what_is_hostile_shows_as_text(page, here):
    text = page(night(here))
    assert "<img src=x" not in text and text.count("</script>") == 1
    assert SHOWN in column(Table(text), "Filter").values()


def test_pictures_are_led_to_from_where_the_page_lies(page, here):
    (here / "a # 100%").mkdir()
    table = Table(page(lines("a.fits", here / "a # 100%", shares={"CR": 0.1})))
    assert table.links == ["a%20%23%20100%25/a.fits.masks.png"]


def test_the_last_line_about_a_file_counts(page, here):
    early = lines(
        "a.fits", here, shares={"CR": 0.1, "HP": 0.1}, status="failed", message="no space"
    )
    late = lines("a.fits", here, shares={"CR": 0.3})
    text = page([*early, *late])
    assert column(Table(text), "CR") == {"a.fits": "30.0"}
    assert "no space" not in text and "HP" not in Table(text).rows[0]


def test_a_skipped_file_keeps_what_was_found_in_it(page, here):
    skipped = {**lines("a.fits", here)[2], "status": "skipped", "preview": None}
    table = Table(page([*lines("a.fits", here, shares={"CR": 0.1}), skipped]))
    assert column(table, "CR") == {"a.fits": "10.0"} and column(table, "Status") == {
        "a.fits": "done"
    }
    assert table.links


def test_either_command_alone_makes_a_page(page, here):
    both = lines("a.fits", here, shares={"CR": 0.1})
    assert column(Table(page(both[:3])), "Tracking") == {"a.fits": ""}
    assert column(Table(page(both[3:])), "Tracking") == {"a.fits": "0.100"}


def test_broken_lines_are_said_and_cost_nothing_else(page, here, capsys):
    broken = [
        "{",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"type": "file"}',
        '{"type": "file", "file": 3, "command": "maximask", "status": "done"}',
        '{"type": "file", "file": "a", "command": "maximask", "status": ["done"]}',
        '{"type": "file", "file": "a", "command": [], "status": "done"}',
        '{"type": "hdu", "file": "a", "command": "maximask", "hdu": [1]}',
        "[" * 100_000,
        "\x00\x01",
    ]
    text = page([*lines("a.fits", here, shares={"CR": 0.1}), *broken])
    assert column(Table(text), "CR") == {"a.fits": "10.0"}
    said = capsys.readouterr().err
    assert said == "maxireport: night.log: 12 lines are left out, the first of them line 5\n"
    assert "<b>12</b> lines of the logs left out" in text


def test_values_of_the_wrong_kind_are_left_out(page, here):
    wrong = []
    for value in (None, "many", [], {}, float("nan"), 1e999, True, -1):
        of_one = lines(f"{value}.fits", here)
        for line in of_one:
            for key in ("shape", "shares", "exptime", "date_obs", "filter", "extname"):
                line[key] = value
            line["probability"] = line["message"] = line["preview"] = line["host"] = value
        of_one[1]["shares"] = {"CR": value, "NEW": 0.1}
        wrong += of_one
    table = Table(page(wrong))
    assert len(table.rows) == 1 + 8 and not table.links


def test_a_log_that_is_not_there_is_a_usage_error(here):
    answer = command("maxireport", "no.log")
    assert answer.returncode == 2
    assert answer.stderr == "maxireport: no.log: cannot be read (No such file or directory)\n"


def test_logs_without_a_file_make_no_page(here):
    (here / "night.log").write_text("")
    answer = command("maxireport", "night.log")
    assert (answer.returncode, answer.stderr) == (1, "maxireport: the logs tell of no file\n")
    assert not (here / "night.html").exists()


def test_a_page_that_cannot_be_written_is_told(here):
    (here / "night.log").write_text(json.dumps(lines("a.fits", here)[2]))
    answer = command("maxireport", "night.log", "-o", "no/night.html")
    assert answer.returncode == 1
    assert answer.stderr == (
        "maxireport: no/night.html: cannot be written (No such file or directory)\n"
    )


def test_without_jinja_one_line_says_what_to_install(here):
    (here / "night.log").write_text(json.dumps(lines("a.fits", here)[2]))
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
sys.modules["jinja2"] = None
import maxireport
maxireport.main(["night.log"])
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 2
    assert answer.stderr == (
        "maxireport: pages need Jinja2 and matplotlib: pip install 'maximask-maxitrack[report]'\n"
    )


def test_the_same_logs_make_the_same_page(page, here):
    assert page(night(here)) == page(night(here))
