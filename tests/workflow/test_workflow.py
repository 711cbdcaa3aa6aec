"""Runs on a cluster that are disturbed, against one process that nobody disturbs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from astropy.io import fits
from conftest import ROOT, field, write
from slurm import Slurm

NUMBER = 60

needs_snakemake = pytest.mark.skipif(
    not shutil.which("snakemake", path=Path(sys.executable).parent),
    reason="needs Snakemake: pip install .[workflow]",
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Environment in which the commands of this clone are found."""
    folder = tmp_path_factory.mktemp("bin")
    for command in ("maximask", "maxitrack", "maxireport"):
        (folder / command).symlink_to(ROOT / f"{command}.py")
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def slurm(environment):
    """A cluster of this machine alone."""
    if missing := Slurm.missing():
        pytest.skip(missing)
    # Sockets have short paths.
    with tempfile.TemporaryDirectory() as folder, Slurm(Path(folder), environment) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def exposures(tmp_path_factory):
    """A list of small exposures."""
    folder = tmp_path_factory.mktemp("exposures")
    files = [
        write(folder / f"e{seed:02d}.fits", field((400, 500), seed=seed)) for seed in range(NUMBER)
    ]
    path = folder / "exposures.list"
    path.write_text("".join(f"{file}\n" for file in files))
    return path


@pytest.fixture(scope="module")
def undisturbed(exposures, environment, tmp_path_factory):
    """What one process each makes of them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for words in (["maximask", "--out_dir", "masks"], ["maxitrack"]):
        subprocess.run([*words, exposures], cwd=folder, env=environment, check=True)
    return folder


def finished(night):
    """The masks that are there."""
    return list((night / "masks").glob("*.fits"))


def stamps(night):
    """Which file is behind each name: another one when it is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in finished(night)}


def lines(night):
    """The lines about tracking."""
    return (night / "maxitrack.out").read_text().splitlines()


def assert_same(night, undisturbed, tracks, logs):
    """The same files as of the undisturbed run, nothing done twice."""
    names = sorted(path.name for path in finished(undisturbed))
    # Nothing is missing, and nothing is there that was cut short.
    assert sorted(path.name for path in (night / "masks").iterdir()) == names
    for name in names:
        files = night / "masks" / name, undisturbed / "masks" / name
        difference = fits.FITSDiff(*files, ignore_keywords=["MM_UTC", "MM_LOC"])
        assert difference.identical, difference.report()
    lines = sorted("".join(path.read_text() for path in tracks).splitlines())
    assert lines == sorted((undisturbed / "maxitrack.out").read_text().splitlines())
    records = [json.loads(line) for path in logs for line in path.read_text().splitlines()]
    records = [record for record in records if record["type"] == "file"]
    for command in ("maximask", "maxitrack"):
        mine = [record for record in records if record["command"] == command]
        assert len({record["file"] for record in mine}) == NUMBER
        done = Counter(record["file"] for record in mine if record["status"] == "done")
        assert set(done.values()) == {1}


def kill(command, folder):
    """Kill a process of a command in a folder, without a chance to tidy up, if there is one."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
            if Path(words[1]).name == command and (process / "cwd").samefile(folder):
                os.kill(int(process.name), signal.SIGKILL)
                return True
        except (OSError, IndexError):
            continue
    return False


@contextmanager
def snakemake(environment, *arguments):
    """Run the workflow in the working directory; it is ended with its context."""
    with open("snakemake.txt", "a") as output:
        run = subprocess.Popen(
            ["snakemake", "--snakefile", ROOT / "workflow" / "Snakefile", *arguments],
            env=environment,
            stdout=output,
            stderr=output,
            # Shells have what they start in the background ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        yield run
    finally:
        run.kill()
        run.wait()


@needs_snakemake
def test_a_broken_exposure_costs_no_other_and_is_done_when_it_is_mended(environment, here):
    whole = [
        write(here / f"e{seed}.fits", field((50, 60), seed=seed)).read_bytes()
        for seed in range(1, 4)
    ]
    broken = here / "e2.fits"
    broken.write_bytes(whole[1][:-2880])
    night = here / "night"
    arguments = ["--cores", "2", "--retries", "1", "--config", "inputs=.", "chunk=2"]
    with snakemake(environment, *arguments) as run:
        assert run.wait(300) != 0
    before = stamps(night)
    assert set(before) == {"e1.masks.fits", "e3.masks.fits"}
    assert [line.split()[0] for line in lines(night)] == ["e1.fits", "e2.fits", "e3.fits"]
    assert lines(night)[1] == "e2.fits None"
    assert "failed" in (night / "night.html").read_text()

    broken.write_bytes(whole[1])
    with snakemake(environment, *arguments) as run:
        assert run.wait(300) == 0
    after = stamps(night)
    assert before.items() < after.items() and "e2.masks.fits" in after
    assert "None" not in (night / "maxitrack.out").read_text()


@needs_snakemake
def test_inputs_that_are_not_there_are_told_in_a_line(environment, here):
    with snakemake(environment, "--cores", "1", "--config", "inputs=gone.list") as run:
        assert run.wait(60) == 1
    told = Path("snakemake.txt").read_text()
    assert "\ngone.list: no such file or directory\n" in told and "Traceback" not in told


@needs_snakemake
def test_workflow_on_slurm(slurm, exposures, undisturbed, here):
    night = here / "night"
    arguments = ["--profile", ROOT / "workflow" / "profiles" / "slurm", "--latency-wait", "5"]
    arguments += ["--slurm-init-seconds-before-status-checks", "1"]
    arguments += ["--config", f"inputs={exposures}", "chunk=10"]

    def progress(number):
        there = len(finished(night))
        slurm.wait(lambda: len(finished(night)) >= there + number, "more masks")

    with snakemake(slurm.environment, *arguments) as run:
        progress(4)
        slurm.wait(lambda: kill("maximask", here), "a process to kill")
        progress(6)
        run.send_signal(signal.SIGINT)
        assert run.wait(60) != 0
    slurm.wait(lambda: not slurm.jobs(), "the end of all jobs")
    first = stamps(night)

    with snakemake(slurm.environment, *arguments) as run:
        progress(4)
        slurm.wait(lambda: kill("maximask", here), "a process to kill")
        progress(6)
        second = stamps(night)
        slurm.wait(lambda: len(slurm.jobs("--states=running")) == 2, "two jobs to cancel")
        slurm.run("scancel", "--user=root", "--state=running")
        assert run.wait(300) == 0
    assert Path("snakemake.txt").read_text().count("Trying to restart job") >= 2
    assert len(first) < len(second) < NUMBER
    assert first.items() <= second.items() <= stamps(night).items()
    assert_same(night, undisturbed, [night / "maxitrack.out"], [night / "night.log"])
    assert "e00.fits" in (night / "night.html").read_text()


def test_array_of_batch_jobs_on_slurm(slurm, exposures, undisturbed, here):
    night = here / "night"
    submit = ["sbatch", "--parsable", "--array=1-4", ROOT / "workflow" / "batch.sh"]

    def start():
        return slurm.run(*submit, exposures, "night", cwd=here).strip()

    node = ["scontrol", "update", f"nodename={slurm.host}"]
    job = start()
    slurm.wait(lambda: len(finished(night)) > 3, "the first masks")
    slurm.run(*node, "state=down", "reason=test")
    slurm.wait(lambda: not slurm.jobs("--states=running,completing"), "the jobs to be taken away")
    lost = stamps(night)
    slurm.run(*node, "state=resume")
    slurm.wait(lambda: len(finished(night)) > len(lost) + 3, "the jobs to go on")
    slurm.run("scancel", f"{job}_4")
    slurm.wait(lambda: kill("maximask", here), "a process to kill")
    slurm.wait(lambda: not slurm.jobs(), "the end of all jobs")
    before = stamps(night)
    assert len(before) < NUMBER

    start()
    slurm.wait(lambda: not slurm.jobs(), "the end of all jobs")
    after = stamps(night)
    assert lost.items() <= before.items() <= after.items()
    parts = night / "parts"
    assert_same(night, undisturbed, parts.glob("*.out"), list(parts.glob("*.log")))
