"""Daemons of a single-node SLURM, all their files in one folder."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration import runs

#: Jobs have to start first.
wait_for_parts = functools.partial(runs.wait_for_parts, seconds=90)
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "sinfo", "sacctmgr")

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0
KillWait=5
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=6000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Default=YES Nodes={host} OverSubscribe=FORCE:4 MaxTime=01:00:00 State=UP
PartitionName=other Nodes={host} OverSubscribe=FORCE:4 MaxTime=01:00:00 State=UP
"""


@dataclass(frozen=True)
class Slurm:
    """The running site."""

    folder: Path
    daemons: list[subprocess.Popen[bytes]]

    def stop_controller(self) -> None:
        stop([self.daemons.pop(1)])

    def start_controller(self) -> None:
        self.daemons.insert(1, start(["slurmctld", "-D", "-f", str(self.folder / "slurm.conf")]))

    def ask(self, *command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def jobs(self, state: str | None = None) -> list[str]:
        """Ids of the jobs that are queued or running, or in one state."""
        wanted = ["--states", state] if state else []
        return self.ask("squeue", "--noheader", "--format", "%A", *wanted).split()

    def wait_until_empty(self, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while self.jobs():
            assert time.monotonic() < deadline, self.ask("squeue")
            time.sleep(0.5)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(arguments, stdin=quiet, stdout=quiet, stderr=quiet)


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start_daemons(folder: Path) -> list[subprocess.Popen[bytes]]:
    host = socket.gethostname().split(".")[0]
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    configuration = folder / "slurm.conf"
    ports = {"controller_port": free_port(), "node_port": free_port()}
    configuration.write_text(CONFIGURATION.format(folder=folder, host=host, **ports))
    # any file stands for a GPU: the scheduler only counts it
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    os.environ["SLURM_CONF"] = str(configuration)
    munged = [f"--socket={folder}/munge.socket", f"--key-file={key}", f"--pid-file={folder}/munged.pid"]
    munged += [f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"]
    running = [start(["munged", "--foreground", "--force", *munged])]
    deadline = time.monotonic() + 10
    while not (folder / "munge.socket").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.append(start(["slurmctld", "-D", "-f", str(configuration)]))
    running.append(start(["slurmd", "-D", "-f", str(configuration), "-N", host]))
    return running


def wait_until_idle(site: Slurm) -> None:
    deadline = time.monotonic() + 30
    state = ""
    while not state.startswith("idle"):
        if time.monotonic() > deadline:
            logs = {log.name: log.read_text()[-1500:] for log in site.folder.glob("*.log")}
            pytest.fail(f"the node is '{state}', not idle; {logs}")
        time.sleep(0.3)
        asked = subprocess.run(
            ["sinfo", "--noheader", "--format", "%t"], capture_output=True, text=True, check=False
        )
        state = asked.stdout.strip()
