#!/usr/bin/env python3
"""
Measure what docs/scale.md builds on.

    python benchmarks/scale.py [--folder DIR] [--profile DIR] [--quick]

writes frames, masks and tracks them as whole processes, and prints Markdown tables: threads
against processes, the share of starting, memory by size, and what the workflow adds. With a
profile of Snakemake, such as workflow/profiles/slurm, the workflow runs by it as well.
"""

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import frames
from run import ROOT, measure

# Shape of a frame, frames of a chunk, shapes of the images that memory is measured with.
FULL = (2048, 4096), 20, [(1024, 1024), (2048, 4096), (6144, 6144), (10000, 10000)]
QUICK = (401, 600), 8, [(401, 600), (1024, 1024)]


# With what tells where their results go.
COMMANDS = {"maximask": ["--out_dir", "masks"], "maxitrack": ["--output", "tracks"]}


class Bench:
    """
    Frames, and the commands on them.

    Parameters
    ----------
    folder : Path
        For the frames and what becomes of them.
    shape : tuple of int
        Of a frame.
    number : int
        Frames of a part; there are twice as many.
    """

    def __init__(self, folder, shape, number):
        self.folder, self.number = folder, number
        self.megapixels = math.prod(shape) / 1e6
        # Names of their own on the same few files: as much is read, and less is stored.
        files = [frames.write(folder / f"{seed}.fits", [shape], seed) for seed in range(4)]
        self.names = [folder / f"frame{i:02d}.fits" for i in range(2 * number)]
        for i, name in enumerate(self.names):
            name.symlink_to(files[i % len(files)])
        self.list = frames.write_list(folder / "frames.list", self.names)
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        for command in ("maximask", "maxitrack", "maxireport"):
            (bin_folder / command).symlink_to(ROOT / f"{command}.py")
        path = os.pathsep.join([str(bin_folder), str(Path(sys.executable).parent)])
        os.environ["PATH"] = f"{path}{os.pathsep}{os.environ['PATH']}"
        os.environ["PYTHONPATH"] = str(ROOT)

    def cost(self, command, names, threads):
        """Cost of a command on some images."""
        path = frames.write_list(self.folder / "some.list", names)
        options = ["--threads", threads, *COMMANDS[command]]
        result = measure([command], *options, path, folder=self.folder)
        self.clear()
        return result

    def parts(self):
        """Seconds that each of two parts takes, a process of one thread each, side by side."""
        start = time.perf_counter()
        words = [ROOT / "workflow" / "batch.sh", self.list, "night"]
        runs = [subprocess.Popen([*words, str(k), "2"], cwd=self.folder) for k in (1, 2)]
        seconds = []
        for run in runs:
            if run.wait():
                sys.exit(f"{words[0]} failed")
            seconds.append(time.perf_counter() - start)
        self.clear()
        return statistics.mean(seconds)

    def workflow(self, *options):
        """Seconds that the workflow takes with two chunks side by side, and its jobs in Slurm."""
        words = ["snakemake", "--snakefile", ROOT / "workflow" / "Snakefile", *options]
        words += ["--config", f"inputs={self.list}", f"chunk={self.number}"]
        start = time.perf_counter()
        with open(self.folder / "snakemake.txt", "w") as log:
            subprocess.run(words, cwd=self.folder, stdout=log, stderr=log, check=True)
        seconds = time.perf_counter() - start
        self.clear()
        return seconds

    def clear(self):
        """Remove what was made."""
        for name in ("masks", "night"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "tracks").unlink(missing_ok=True)


def table(*rows):
    """Print a Markdown table of a heading and rows."""
    heading, *others = [" | ".join(map(str, row)) for row in rows]
    print(f"\n| {heading} |\n|{' --- |' + ' ---: |' * heading.count('|')}")
    for row in others:
        print(f"| {row} |")


def job_seconds():
    """How long each job took that Slurm still knows."""
    words = ["squeue", "--noheader", "--states=completed", "--format=%M"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return [sum(60**i * int(x) for i, x in enumerate(reversed(line.split(":")))) for line in lines]


def threads_or_processes(bench):
    """
    Cost of a process with one thread and with two.

    Returns
    -------
    tuple of float
        Seconds that a chunk takes with one thread, both commands: to start, for each frame.
    """
    few, many = 2, bench.number // 2
    rows = [("", "frame", "rate", "core time of a megapixel", "start", "peak memory")]
    chunk = 0.0, 0.0
    for command in COMMANDS:
        for threads in (1, 2):
            first, last = (bench.cost(command, bench.names[:n], threads) for n in (few, many))
            each = (last.wall - first.wall) / (many - few)
            core = (last.cpu - first.cpu) / (many - few)
            start = first.wall - few * each
            if threads == 1:
                chunk = chunk[0] + start, chunk[1] + each
            rows.append(
                (
                    f"`{command} --threads {threads}`",
                    f"{each:.2f} s",
                    f"{bench.megapixels / each:.1f} MPix/s",
                    f"{core / bench.megapixels:.3f} s",
                    f"{start:.1f} s",
                    f"{last.memory:.2f} GB",
                )
            )
    table(*rows)
    return chunk


def chunk_sizes(start, each):
    """Share of a job that starting the commands takes, by the number of frames in its chunk."""
    shares = [(n, f"{100 * start / (start + n * each):.1f} %") for n in (1, 5, 20, 50, 100)]
    table(("frames of a chunk", "start-up share"), *shares)


def memory(bench, shapes):
    """Peak memory of both commands by the size of images, with one thread."""
    rows = [("two images of", "megapixels each", "`maximask`", "`maxitrack`")]
    for shape in shapes:
        names = [frames.write(bench.folder / f"image{i}.fits", [shape], i) for i in range(2)]
        costs = [bench.cost(command, names, 1) for command in COMMANDS]
        for name in names:
            name.unlink()
        size = f"{math.prod(shape) / 1e6:.1f}"
        rows.append(
            (f"{shape[0]} x {shape[1]}", size, *(f"{cost.memory:.2f} GB" for cost in costs))
        )
    table(*rows)


def overhead(bench, profile):
    """What the workflow adds to the plain commands, for two chunks side by side."""
    plain = bench.parts()
    rows = [(f"two chunks of {bench.number} frames side by side", "time", "more")]

    def add(name, seconds):
        rows.append((name, f"{seconds:.1f} s", f"{100 * (seconds / plain - 1):.1f} %"))

    add("the plain commands, by `workflow/batch.sh`", plain)
    add("`snakemake --cores 2`, all", bench.workflow("--cores", "2"))
    if profile:
        seconds = bench.workflow("--profile", profile.resolve())
        add("Slurm, a job's time on its node", statistics.mean(job_seconds()))
        add("Slurm, all, with waiting", seconds)
    table(*rows)


def main():
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--folder", type=Path, help="for frames and masks (default: a temporary one)"
    )
    parser.add_argument("--profile", type=Path, help="of Snakemake, to run the workflow by")
    parser.add_argument("--quick", action="store_true", help="small frames, to try it out")
    arguments = parser.parse_args()
    shape, number, shapes = QUICK if arguments.quick else FULL
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        bench = Bench(Path(folder), shape, number)
        print(f"Frames of {shape[0]} x {shape[1]} pixels, {number} in a chunk.")
        chunk_sizes(*threads_or_processes(bench))
        overhead(bench, arguments.profile)
        memory(bench, shapes)


if __name__ == "__main__":
    main()
