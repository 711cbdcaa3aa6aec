"""Carry the networks and the default class files into the package that is installed."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithNetworks(build_py):
    """Copy what the commands need at run time beside the modules that look for it."""

    def run(self):
        super().run()
        if self.editable_mode:
            return  # the clone has them
        shipped = Path(self.build_lib, "maxitools", "shipped")
        shutil.rmtree(shipped, ignore_errors=True)
        shutil.copytree(ROOT / "model", shipped / "model")
        for path in ROOT.glob("classes.*"):
            shutil.copy(path, shipped)


setup(cmdclass={"build_py": BuildWithNetworks})
