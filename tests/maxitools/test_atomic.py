"""Files appear whole and on the disk, leave nothing behind, and grow by whole lines."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from maxitools import atomic


def part(host, number):
    return Path(f".maximask.{host}.{number:016x}.part")


def test_what_killed_writers_left_is_removed_and_nothing_else(here):
    host = os.uname().nodename
    forgotten, written, elsewhere, long_ago, other = (
        part(host, 1),
        part(host, 2),
        part("other-host", 3),
        part("other-host", 4),
        Path(".a.part"),
    )
    for path in (forgotten, written, elsewhere, long_ago, other):
        path.touch()
    os.utime(long_ago, (time.time() - 3 * 86400,) * 2)
    with open(written) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        atomic.remove_forgotten(here)
    assert sorted(Path().iterdir()) == sorted([written, elsewhere, other])


def test_a_file_is_on_the_disk_before_it_has_its_name(here, monkeypatch):
    calls = []

    def recorded(name):
        call = getattr(os, name)

        def record(*arguments):
            calls.append(name)
            return call(*arguments)

        monkeypatch.setattr(os, name, record)

    for name in ("fsync", "replace"):
        recorded(name)
    with atomic.whole_file("a.txt") as file:
        file.write(b"all of it")
        assert not Path("a.txt").exists()
    assert calls == ["fsync", "replace", "fsync"]
    assert Path("a.txt").read_bytes() == b"all of it"


def test_a_file_that_fails_leaves_nothing(here):
    Path("a.txt").write_text("earlier")
    with pytest.raises(ZeroDivisionError), atomic.whole_file("a.txt"):
        1 / 0  # noqa: B018
    assert [path.name for path in Path().iterdir()] == ["a.txt"]
    assert Path("a.txt").read_text() == "earlier"


@pytest.mark.parametrize("name", ["a" * 300, "folder", "gone/a.txt"])
def test_a_name_that_cannot_be_written_costs_no_work(here, name):
    Path("folder").mkdir()
    with pytest.raises(OSError, match=name[:5]), atomic.whole_file(name):
        pytest.fail("work has begun")
    assert [path.name for path in Path().iterdir()] == ["folder"]


def test_lines_of_many_writers_stay_whole(here):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from maxitools.atomic import append_line\n"
        "for i in range(300): append_line('out', sys.argv[2] * 50 + str(i))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, ROOT, x]) for x in "abcd"]
    assert [writer.wait() for writer in writers] == [0] * 4
    lines = Path("out").read_text().splitlines()
    assert sorted(lines) == sorted(x * 50 + str(i) for x in "abcd" for i in range(300))


def test_a_line_is_appended_to_whole_lines_only(here):
    Path("out").write_text("earlier without an end")
    atomic.append_line("out", "later")
    assert Path("out").read_text() == "earlier without an end\nlater\n"
