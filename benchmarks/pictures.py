#!/usr/bin/env python3
"""
Time previews beside masking alone, and pages of many exposures.

    python benchmarks/pictures.py [--frames N] [--exposures N]

prints what each further frame takes without and with `--preview`, run in turn, and how long a page
takes to make, and to open in Chromium. It needs what the tests need.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import frames
import numpy as np
from PIL import Image
from selenium import webdriver

ROOT = Path(__file__).resolve().parents[1]
SHAPES = (1024, 1024), (2048, 4096)
CLASSES = ["CR", "HCL", "DCL", "HP", "DP", "P", "TRL", "FR", "NEB", "SAT", "SP", "OV", "BBG"]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --window-size=1400,900"
)


def seconds(name, *arguments, folder):
    """What a command takes."""
    command = [sys.executable, ROOT / f"{name}.py", *arguments]
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True)
    return time.perf_counter() - start


def previews(folder, number):
    """What each further frame takes, without and with a preview: the medians of three runs."""
    print("| frames of | masks | masks and preview | more |\n| --- | ---: | ---: | ---: |")
    for shape in SHAPES:
        names = [folder / f"{shape[0]}_{i}.fits" for i in range(number + 1)]
        files = [frames.write(path, [shape], i) for i, path in enumerate(names)]
        one, many = (frames.write_list(folder / f"{n}.list", files[:n]) for n in (1, number + 1))
        taken = {(): [], ("--preview",): []}
        for _ in range(3):
            for options, found in taken.items():
                first, all_of_them = (
                    seconds("maximask", *options, paths, folder=folder) for paths in (one, many)
                )
                found.append((all_of_them - first) / number)
        without, with_one = (statistics.median(found) for found in taken.values())
        more = 100 * (with_one / without - 1)
        print(f"| {shape[0]} x {shape[1]} | {without:.3f} s | {with_one:.3f} s | {more:.0f} % |")


def page(folder, number):
    """What a page takes to make and to open."""
    rng = np.random.default_rng(1)
    picture = folder / "picture.png"
    Image.fromarray(rng.integers(20, 60, (1000, 1400), np.uint8)).save(picture)
    with open(folder / "night.log", "w") as log:
        for i in range(number):
            moment = f"2026-01-01T{i * 10 // number:02d}:{i * 600 // number % 60:02d}:00"
            common = {"command": "maximask", "file": str(folder / f"exposure{i}.fits")}
            for hdu in range(1, 5):
                shares = dict(zip(CLASSES, 10 ** rng.uniform(-6, -1, len(CLASSES)), strict=True))
                line = {"type": "hdu", "hdu": hdu, "shape": [2048, 4096], "date_obs": moment}
                log.write(json.dumps({**common, **line, "shares": shares}) + "\n")
            line = {"type": "file", "status": "done", "preview": str(picture)}
            log.write(json.dumps({**common, **line}) + "\n")
    made = seconds("maxireport", "night.log", folder=folder)
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in FLAGS.split():
        options.add_argument(flag)
    with webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver")) as browser:
        opened = []
        for _ in range(3):
            browser.get((folder / "night.html").as_uri())
            timing = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
            opened.append(browser.execute_script(timing) / 1000)
    size = (folder / "night.html").stat().st_size / 1e6
    print(
        f"\nA page of {number} exposures ({size:.1f} MB) is made in {made:.1f} s, and opens in "
        f"{statistics.median(opened):.2f} s."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time previews and pages.")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--exposures", type=int, default=2000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        previews(Path(folder), chosen.frames)
        page(Path(folder), chosen.exposures)
