"""The published commands of release 1.4.1, in an environment of their own."""

import subprocess
import sys
from pathlib import Path

# The newest releases that run the published commands.
REQUIREMENTS = ("maximask==1.4.1", "tensorflow-cpu<2.16", "numpy<2")


def published_environment(folder):
    """
    Make a virtual environment with the published commands, unless it is there.

    Parameters
    ----------
    folder : path-like
        Of the environment.

    Returns
    -------
    Path
        The folder; its `bin` holds `maximask` and `maxitrack`.
    """
    folder = Path(folder).resolve()
    if not (folder / "bin" / "maximask").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", *REQUIREMENTS], check=True)
    return folder


def network_folder(environment):
    """The folder of the published networks in their environment."""
    return next(environment.glob("lib/python*/site-packages/maximask_and_maxitrack"))
