#!/usr/bin/env python3
"""
Time this project beside the published commands of release 1.4.1.

    python benchmarks/run.py [SECTION...] [--quick] [--net_path DIR] [--environment DIR]
                             [--rounds N] [--keep FILE]

makes an environment for the published commands and images to process, runs both in turn
as whole processes, and prints Markdown tables: time, pixels per second, peak memory, ratios.
Frames, alone and in lists, are processed N times by all commands in turn; medians are printed.
What the published commands took may be kept in a file, for sections that are run later.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from functools import cache
from importlib.metadata import version
from pathlib import Path

import frames
import numpy as np
from astropy.io import fits
from published import network_folder, published_environment

ROOT = Path(__file__).resolve().parents[1]

# Shape of a frame and numbers of frames (few, many), of a mosaic's HDUs (the published command
# does the first two, its time for the last one is extrapolated), side of the big image, HDUs of
# the long file, and largest side, HDUs and files of the plots.
Sizes = namedtuple("Sizes", "frame few many mosaic_hdu mosaic big hdus growth")
FULL = Sizes((2048, 4096), 2, 10, (1024, 1024), (1, 3, 60), 12000, 500, (4096, 32, 16))
QUICK = Sizes((401, 600), 2, 3, (401, 401), (1, 2, 4), 1500, 20, (1000, 4, 4))

Cost = namedtuple("Cost", "wall cpu memory")
Cost.__doc__ = """What a process took: seconds, seconds of all its threads, peak memory in GB."""


def measure(command, *arguments, folder):
    """
    Run a command as a process of its own.

    Parameters
    ----------
    command : list
        Program and first arguments.
    *arguments
        More of them.
    folder : Path
        Where to run it.

    Returns
    -------
    Cost
        A process starts with the peak memory of the one that starts it, which must
        therefore stay small.

    Raises
    ------
    SystemExit
        When the command fails.
    """
    words = [str(word) for word in (*command, *arguments)]
    print(" ".join([Path(words[0]).name, *words[1:]]), file=sys.stderr, flush=True)
    with tempfile.TemporaryFile("w+") as log:
        start = time.perf_counter()
        process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            sys.exit(f"{words[0]} failed:\n{log.read()[-2000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9)


class Bench:
    """
    The images, the commands, and what has been measured.

    Parameters
    ----------
    folder : Path
        For the images and masks.
    environment : Path
        Of the published commands.
    net_path : Path or None
        Network of ours; the shipped one when None.
    sizes : Sizes
    keep : Path or None
        File of what the published commands took; what is in it is not measured again.
    rounds : int
        How often commands are timed in turn.
    """

    def __init__(self, folder, environment, net_path, sizes, keep, rounds):
        self.folder, self.sizes, self.net_path, self.keep = folder, sizes, net_path, keep
        self.rounds = rounds
        self.kept = json.loads(keep.read_text()) if keep and keep.exists() else {}
        self.published = published_environment(environment)
        self.frames = [
            frames.write(folder / f"frame{i:02d}.fits", [sizes.frame], i) for i in range(sizes.many)
        ]
        # The published command refuses a side of 400 pixels.
        self.small = frames.write(folder / "small.fits", [(401, 401)])
        self.pixels = sizes.frame[0] * sizes.frame[1] / 1e6

    def ours(self, name, path, *options):
        """Cost of our command on a path."""
        net_path = ["--net_path", self.net_path] if self.net_path else []
        command = [sys.executable, ROOT / f"{name}.py", *net_path, *options]
        return measure(command, path, folder=self.folder)

    def theirs(self, name, path):
        """Cost of the published command on a path."""
        key = f"{name} {path.name} {tuple(self.sizes)}"
        if key not in self.kept:
            self.kept[key] = measure([self.published / "bin" / name], path, folder=self.folder)
            if self.keep:
                self.keep.write_text(json.dumps(self.kept))
        return Cost(*self.kept[key])

    @cache  # noqa: B019
    def of_list(self, run, name, n, turn, *options):
        """Cost of a command, run by `ours` or `theirs`, on a list of n frames, in one round."""
        path = frames.write_list(self.folder / f"first{n}_{turn}.list", self.frames[:n])
        return getattr(self, run)(name, path, *options)

    def in_turn(self, name, few):
        """
        Time a command of either kind on one frame and on lists, in turn, round by round.

        Parameters
        ----------
        name : str
        few : int
            Frames in the list of the published command; ours has more.

        Returns
        -------
        theirs, ours : list of list of Cost
            For each round: of one frame, of the list, and of each further frame.
        """
        counts = {"theirs": (1, few), "ours": (1, self.sizes.many)}
        costs = {run: [[] for _ in range(self.rounds)] for run in counts}
        for turn in range(self.rounds):
            for place in range(2):
                for run, numbers in counts.items():
                    cost = self.of_list(run, name, numbers[place], turn)
                    costs[run][turn].append(cost)
            for run, numbers in counts.items():
                costs[run][turn].append(further(costs[run][turn], numbers))
        return costs["theirs"], costs["ours"]


def further(costs, numbers):
    """Cost of each further item, from the costs of two numbers of them."""
    step = numbers[1] - numbers[0]
    wall, cpu = ((costs[1][i] - costs[0][i]) / step for i in (0, 1))
    return Cost(wall, cpu, costs[1].memory)


def medians(rounds):
    """Of the costs of each round, those with the median wall time, place by place."""
    return [sorted(costs)[len(costs) // 2] for costs in zip(*rounds, strict=True)]


def spread(theirs, ours):
    """What to say of rounds: how many, and how much faster one frame and further ones were."""
    ratios = [
        sorted(their[place].wall / our[place].wall for their, our in zip(theirs, ours, strict=True))
        for place in (0, 2)
    ]
    one, more = (f"{of[0]:.1f}x to {of[-1]:.1f}x" for of in ratios)
    return f"Medians of {len(ours)} rounds: one frame {one}, further ones {more}."


def number(value, unit, digits):
    return "" if value is None else f"{value:.{digits}f}{unit}"


def table(title, rows, *notes):
    """
    Print a table of costs: published and ours, by the clock, in processor time, in memory.

    Parameters
    ----------
    title : str
    rows : list of tuple
        What was done, its megapixels, and the Cost of the published command (or None)
        and of ours.
    *notes : str
        Printed below.
    """
    print(f"\n### {title}\n")
    heads = "published", "ours", "faster", "rate, ours"
    heads += tuple(f"{what}, {who}" for what in ("cpu", "memory") for who in (*heads[:2], "ratio"))
    print(f"| | {' | '.join(heads)} |")
    print("| --- |" + " ---: |" * 10)
    for what, pixels, theirs, ours in rows:
        cells = [
            number(theirs and theirs.wall, " s", 2),
            number(ours.wall, " s", 2),
            number(theirs and theirs.wall / ours.wall, "x", 1),
            number(pixels / ours.wall, " MPix/s", 2),
            number(theirs and theirs.cpu, " s", 2),
            number(ours.cpu, " s", 2),
            number(theirs and theirs.cpu / ours.cpu, "x", 1),
            number(theirs and theirs.memory, " GB", 2),
            number(ours.memory, " GB", 2),
            number(theirs and 100 * ours.memory / theirs.memory, " %", 0),
        ]
        print(f"| {what} | {' | '.join(cells)} |")
    for note in notes:
        print(f"\n{note}")
    sys.stdout.flush()


def start(bench):
    """Start-up: help, and the time to the first tile beside TensorFlow's own import."""
    imports = [sys.executable, "-c", "import tensorflow"]

    def typical(times, *command):
        cost = [measure(command, folder=bench.folder) for _ in range(times)]
        return statistics.median(c.wall for c in cost)

    print("\n### Start\n\n| | published | ours |\n| --- | ---: | ---: |")
    for name in ("maximask", "maxitrack"):
        theirs = typical(1, bench.published / "bin" / name, "--help")
        ours = typical(5, sys.executable, ROOT / f"{name}.py", "--help")
        print(f"| `{name} --help` | {theirs:.2f} s | {ours:.2f} s |")
    theirs = typical(3, bench.published / "bin" / "python", *imports[1:])
    ours = typical(3, *imports)
    print(f"| import of TensorFlow alone | {theirs:.2f} s | {ours:.2f} s |")
    theirs = bench.theirs("maximask", bench.small).wall
    ours = statistics.median(bench.ours("maximask", bench.small).wall for _ in range(3))
    print(f"| `maximask`, 401 x 401 pixels, all | {theirs:.2f} s | {ours:.2f} s |", flush=True)


def frame(bench):
    """One frame, and many."""
    n, few, pixels = bench.sizes.many, bench.sizes.few, bench.pixels
    rounds = bench.in_turn("maximask", few)
    (their_one, _, their_next), (our_one, our_many, our_next) = map(medians, rounds)
    their_many = Cost(
        their_one.wall + (n - 1) * their_next.wall,
        their_one.cpu + (n - 1) * their_next.cpu,
        their_one.memory,
    )
    table(
        f"maximask, frames of {shape(bench.sizes.frame)}",
        [
            ("one frame, whole command", pixels, their_one, our_one),
            ("each further frame", pixels, their_next, our_next),
            (f"{n} frames", n * pixels, their_many, our_many),
        ],
        spread(*rounds),
        f"The published command ran on 1 and {few} frames; its time for {n} is extrapolated.",
        f"Cores busy in further frames (user and system over wall time), of "
        f"{len(os.sched_getaffinity(0))}: published {their_next.cpu / their_next.wall:.2f}, "
        f"ours {our_next.cpu / our_next.wall:.2f}.",
    )


def mosaic(bench):
    """A file of many image HDUs."""
    size, numbers = bench.sizes.mosaic_hdu, bench.sizes.mosaic
    files = [frames.write(bench.folder / f"mosaic{n}.fits", [size] * n) for n in numbers]
    theirs = [bench.theirs("maximask", path) for path in files[:2]]
    each = further(theirs, numbers)
    more = numbers[2] - numbers[0]
    whole = Cost(
        theirs[0].wall + more * each.wall, theirs[0].cpu + more * each.cpu, theirs[1].memory
    )
    ours = bench.ours("maximask", files[2])
    table(
        f"maximask, a mosaic of {numbers[2]} HDUs of {shape(size)}",
        [("whole command", numbers[2] * size[0] * size[1] / 1e6, whole, ours)],
        f"The published command ran on {numbers[0]} and {numbers[1]} HDUs; its time for "
        f"{numbers[2]} is extrapolated.",
    )


def big(bench):
    """An image that fills the memory."""
    side = bench.sizes.big
    path = frames.write(bench.folder / "big.fits", [(side, side)])
    ours = bench.ours("maximask", path)
    table(
        f"maximask, an image of {shape((side, side))}",
        [("whole command", side * side / 1e6, None, ours)],
        "The published command did not run: time and memory would not do.",
    )
    path.unlink()
    path.with_suffix(".masks.fits").unlink()


def hdus(bench):
    """A file of very many HDUs, beside its largest alone."""
    n, largest = bench.sizes.hdus, bench.sizes.frame
    shapes = [largest] + [(256, 256)] * (n - 1)
    path = frames.write(bench.folder / "hdus.fits", shapes)
    pixels = sum(h * w for h, w in shapes) / 1e6
    ours = bench.ours("maximask", path)
    table(
        f"maximask, a file of {n} HDUs: one of {shape(largest)}, the others of 256 x 256",
        [
            ("whole file", pixels, None, ours),
            (
                "its largest image alone",
                bench.pixels,
                None,
                bench.of_list("ours", "maximask", 1, 0),
            ),
        ],
    )


def maxitrack(bench):
    """The tracking command."""
    pixels, few = bench.pixels, min(2 * bench.sizes.few, bench.sizes.many)
    rounds = bench.in_turn("maxitrack", few)
    (their_one, _, their_next), (our_one, _, our_next) = map(medians, rounds)
    table(
        f"maxitrack, frames of {shape(bench.sizes.frame)}",
        [
            ("one frame, whole command", pixels, their_one, our_one),
            ("each further frame", pixels, their_next, our_next),
        ],
        spread(*rounds),
        f"The published command ran on 1 and {few} frames, ours on 1 and {bench.sizes.many}.",
    )


def networks(bench):
    """The published networks in our commands, beside their own."""
    pixels, few = bench.pixels, bench.sizes.few
    given = "--net_path", network_folder(bench.published)
    for name in ("maximask", "maxitrack"):
        numbers = (1, few) if name == "maximask" else (1, 2 * few)
        theirs = [bench.of_list("theirs", name, i, 0) for i in numbers]
        ours = [bench.of_list("ours", name, i, 0, *given) for i in numbers]
        notes = []
        path = bench.frames[0]
        if name == "maximask" and path.with_suffix(".mask.fits").exists():
            shares = agreement(path.with_suffix(".mask.fits"), path.with_suffix(".masks.fits"))
            notes = [
                "Pixels with the same mask in both, of the first frame: "
                + ", ".join(f"{key} {100 * share:.4f} %" for key, share in shares.items())
                + "."
            ]
        table(
            f"The published network in our {name}, frames of {shape(bench.sizes.frame)}",
            [
                ("one frame, whole command", pixels, theirs[0], ours[0]),
                ("each further frame", pixels, further(theirs, numbers), further(ours, numbers)),
            ],
            *notes,
        )


def agreement(one, other):
    """Share of equal pixels of two files of masks, by class."""
    shares = {}
    with fits.open(one) as a, fits.open(other) as b:
        for plane in range(a[0].shape[0]):
            same = a[0].section[plane] == b[0].section[plane]
            shares[b[0].header[f"M{plane + 1}"].partition(":")[0]] = same.mean()
    return shares


def runtimes(bench):
    """Our mask network by itself, in LiteRT and in TensorFlow."""
    print("\n### Our mask network by itself, tiles of 1088 x 1408\n", flush=True)
    folder = bench.net_path or ROOT / "model"
    words = [sys.executable, ROOT / "benchmarks" / "runtimes.py", "--net_path", folder / "maximask"]
    subprocess.run(words, check=True)


def independence(bench):
    """Whether masks depend on how the work is cut."""
    print("\n### Do results depend on `--batch_size` and `--threads`?\n")
    cores = len(os.sched_getaffinity(0))
    # Four tiles, which one call can take together.
    path = frames.write(bench.folder / "tiles.fits", [(1200, 1200)])
    masks, kept = path.with_suffix(".masks.fits"), bench.folder / "kept.fits"
    print("| options | masks, pixels that differ | probabilities, largest difference |")
    print("| --- | ---: | ---: |")
    raw = ("--prior_modif", "no", "--proba_thresh", "no")
    found = {}
    for options in (
        (),
        ("--batch_size", 1),
        ("--batch_size", 3),
        ("--threads", 1),
        ("--threads", cores + 1),
    ):
        for kind in ((), raw):
            bench.ours("maximask", path, *options, *kind)
            if not options:
                masks.rename(kept.with_suffix(f".{len(kind)}.fits"))
                continue
            with fits.open(kept.with_suffix(f".{len(kind)}.fits")) as a, fits.open(masks) as b:
                pairs = [
                    (a[0].section[i].astype(float), b[0].section[i]) for i in range(a[0].shape[0])
                ]
                differences = [np.abs(one - other) for one, other in pairs]
            found[kind] = (
                sum(np.count_nonzero(d) for d in differences),
                max(d.max() for d in differences),
            )
        if options:
            words = " ".join(map(str, options))
            print(f"| `{words}` | {found[()][0]} | {found[raw][1]:.1e} |", flush=True)


def growth(bench):
    """A plot of time and memory against pixels, HDUs and files."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    side, n_hdus, n_files = bench.sizes.growth
    small = (side // 8, side // 8)
    files = [frames.write(bench.folder / f"small{i}.fits", [small], i) for i in range(n_files)]
    series = {"pixels (millions)": [], "HDUs": [], "files": []}
    for share in (1, 2, 4, 8):
        edge = side * share // 8
        path = frames.write(bench.folder / "pixels.fits", [(edge, edge)])
        series["pixels (millions)"].append((edge * edge / 1e6, bench.ours("maximask", path)))
        n = max(1, n_hdus * share // 8)
        path = frames.write(bench.folder / "growth.fits", [small] * n)
        series["HDUs"].append((n, bench.ours("maximask", path)))
        n = max(1, n_files * share // 8)
        path = frames.write_list(bench.folder / "growth.list", files[:n])
        series["files"].append((n, bench.ours("maximask", path)))
    figure, axes = plt.subplots(2, 3, figsize=(10, 5), sharex="col", sharey="row")
    for (what, points), column in zip(series.items(), axes.T, strict=True):
        numbers = [n for n, _ in points]
        column[0].plot(numbers, [cost.wall for _, cost in points], "o-")
        column[1].plot(numbers, [cost.memory for _, cost in points], "o-", color="C1")
        each = "" if what.startswith("pixels") else f", of {shape(small)}"
        column[1].set_xlabel(what + each)
        for panel in column:
            panel.set_ylim(bottom=0)
            panel.grid(alpha=0.3)
    axes[0, 0].set_ylabel("whole command (s)")
    axes[1, 0].set_ylabel("peak memory (GB)")
    figure.tight_layout()
    folder = bench.folder if bench.sizes.growth == QUICK.growth else Path(__file__).parent
    figure.savefig(folder / "growth.png", dpi=110)
    print("\n### How cost grows\n\n![time and memory against pixels, HDUs and files](growth.png)")


def shape(size):
    return f"{size[0]} x {size[1]}"


SECTIONS = {
    part.__name__: part
    for part in (
        start,
        frame,
        mosaic,
        big,
        hdus,
        maxitrack,
        networks,
        runtimes,
        independence,
        growth,
    )
}


def machine(bench):
    """Print what it all ran on."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in info if "model name" in line), "")
    model = model or platform.processor()
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    theirs = subprocess.run(
        [bench.published / "bin" / "pip", "freeze"], capture_output=True, text=True, check=True
    )
    tensorflow = next(
        line.partition("==")[2]
        for line in theirs.stdout.splitlines()
        if line.startswith(("tensorflow==", "tensorflow-cpu=="))
    )
    ours = {}
    for package in ("ai-edge-litert", "tensorflow", "tensorflow-cpu"):
        with contextlib.suppress(ImportError):
            ours[package] = version(package)
    print(
        f"{model}, {len(os.sched_getaffinity(0))} cores, {gigabytes:.0f} GB; "
        f"Python {platform.python_version()}; published 1.4.1 with TensorFlow {tensorflow}, "
        f"ours with {', '.join(map(' '.join, ours.items()))}.",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description="Time both pairs of commands.")
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="small images, to try it")
    parser.add_argument("--frame", type=int, nargs=2, metavar=("H", "W"), help="shape of a frame")
    parser.add_argument("--net_path", type=Path, help="our networks; those shipped by default")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--keep", type=Path, help="file for what the published commands took")
    parser.add_argument(
        "--environment", type=Path, default=ROOT / ".published", help="of the published commands"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    net_path = arguments.net_path and arguments.net_path.resolve()
    sizes = QUICK if arguments.quick else FULL
    if arguments.frame:
        sizes = sizes._replace(frame=tuple(arguments.frame))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            Path(folder), arguments.environment, net_path, sizes, arguments.keep, arguments.rounds
        )
        machine(bench)
        for name, section in SECTIONS.items():
            if not arguments.sections or name in arguments.sections:
                section(bench)


if __name__ == "__main__":
    main()
