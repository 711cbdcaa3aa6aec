"""
Slurm on this machine alone: munge, controller and node as daemons with a folder of their own.

    python tests/slurm.py COMMAND...

runs a command, such as a benchmark, beside such a cluster.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "srun")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,bf_interval=1
KillWait=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=16000
PartitionName=all Nodes=ALL Default=YES State=UP
"""


class Slurm:
    """
    A cluster of one node, this machine, with two CPUs.

    Parameters
    ----------
    folder : Path
        For all that the daemons write; its path must be short enough for a socket.
    environment : dict
        Of the jobs.
    """

    def __init__(self, folder, environment):
        self.folder = folder
        self.environment = {
            **environment,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}:{environment['PATH']}",
        }
        self.host = socket.gethostname().split(".")[0]
        self.daemons = []

    @staticmethod
    def missing():
        """
        What keeps Slurm from running here.

        Returns
        -------
        str
            Empty when nothing does.
        """
        if os.geteuid() != 0:
            return "Slurm's daemons run as root"
        absent = [program for program in PROGRAMS if not shutil.which(program)]
        if absent:
            return f"not installed: {', '.join(absent)} (Debian: slurmctld slurmd slurm-client)"
        return ""

    def __enter__(self):
        # Munge insists that all may enter the folder of its socket.
        self.folder.chmod(0o711)
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        text = CONFIGURATION.format(
            host=self.host,
            controller=_free_port(),
            node=_free_port(),
            folder=self.folder,
        )
        (self.folder / "slurm.conf").write_text(text)
        # Snakemake's executor does not hand the place of the configuration on to the steps of jobs.
        step = self.folder / "bin" / "srun"
        step.write_text(
            f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which("srun")} "$@"\n'
        )
        step.chmod(0o755)
        files = [
            f"--{kind}-file={self.folder}/munge.{kind}" for kind in ("key", "log", "pid", "seed")
        ]
        self._start("munged", "--foreground", f"--socket={self.folder}/munge.socket", *files)
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D")
        try:
            self.wait(lambda: self.state() == "idle", "an idle node")
        except TimeoutError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["scancel", "--user=root"], env=self.environment)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            daemon.wait(20)

    def _start(self, program, *arguments):
        with open(self.folder / f"{program}.out", "w") as output:
            words = [shutil.which(program), *arguments]
            daemon = subprocess.Popen(words, env=self.environment, stdout=output, stderr=output)
        self.daemons.append(daemon)

    def state(self):
        """State of the node; empty while the controller does not answer."""
        words = ["sinfo", "--noheader", "--format=%T"]
        result = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        return result.stdout.strip()

    def run(self, *words, **options):
        """
        What a command prints, in Slurm's environment.

        Raises
        ------
        subprocess.CalledProcessError
            When it fails.
        """
        return subprocess.run(
            words, env=self.environment, capture_output=True, text=True, check=True, **options
        ).stdout

    def jobs(self, *options):
        """Numbers of the jobs that wait or run."""
        return self.run("squeue", "--noheader", "--array", "--format=%i", *options).split()

    def wait(self, condition, what, seconds=120):
        """
        Wait until something is so, and return it.

        Raises
        ------
        TimeoutError
            When it is not, within some seconds; the message says what.
        """
        end = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > end:
                logs = "".join(path.read_text()[-1000:] for path in self.folder.glob("*.out"))
                raise TimeoutError(f"waited {seconds} s for {what}\n{logs}")
            time.sleep(0.02)
        return found


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, Slurm(Path(place), os.environ) as cluster:
        sys.exit(subprocess.run(sys.argv[1:], env=cluster.environment).returncode)
