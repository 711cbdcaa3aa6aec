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
        """Cost of two parts side by side, a process of one thread each."""
        part = f"'{ROOT}/workflow/batch.sh' '{self.list}' night"
        result = measure(["bash", "-c", f"{part} 1 2 & {part} 2 2 & wait"], folder=self.folder)
        self.clear()
        return result

    def workflow(self, *options):
        """Cost of the workflow with two chunks side by side."""
        words = ["snakemake", "--snakefile", ROOT / "workflow" / "Snakefile", *options]
        settings = ["--config", f"inputs={self.list}", f"chunk={self.number}"]
        result = measure(words, *settings, folder=self.folder)
        self.clear()
        return result

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
        Core seconds with one thread, both commands together: to start, for each frame.
    """
    few, many = 2, bench.number // 2
    rows = [("", "frame", "frame, core time", "a megapixel", "start", "start, core time", "memory")]
    chunk = 0.0, 0.0
    for command in COMMANDS:
        for threads in (1, 2):
            first, last = (bench.cost(command, bench.names[:n], threads) for n in (few, many))
            wall, core = ((last[i] - first[i]) / (many - few) for i in (0, 1))
            starts = first.wall - few * wall, first.cpu - few * core
            if threads == 1:
                chunk = chunk[0] + starts[1], chunk[1] + core
            rows.append(
                (
                    f"`{command} --threads {threads}`",
                    f"{wall:.2f} s",
                    f"{core:.2f} s",
                    f"{core / bench.megapixels:.3f} s",
                    *(f"{start:.1f} s" for start in starts),
                    f"{last.memory:.2f} GB",
                )
            )
    table(*rows)
    return chunk


def chunk_sizes(start, each):
    """Share of a job's core time that starting takes, by the number of frames in its chunk."""
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
    rows = [(f"two chunks of {bench.number} frames side by side", "time", "core time")]

    def add(name, cost):
        rows.append((name, f"{cost.wall:.1f} s", f"{cost.cpu:.1f} s"))

    add("the plain commands, by `workflow/batch.sh`", plain)
    add("`snakemake --cores 2`", bench.workflow("--cores", "2"))
    if profile:
        cost = bench.workflow("--profile", profile.resolve())
        jobs = statistics.mean(job_seconds())
        rows.append(("Slurm, a job on its node", f"{jobs:.1f} s", ""))
        rows.append(("Slurm, all, with waiting", f"{cost.wall:.1f} s", ""))
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
