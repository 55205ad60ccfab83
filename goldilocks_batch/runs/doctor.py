"""Is everything there that a run needs?  And what to write into a configuration for this site."""

from __future__ import annotations

import fcntl
import getpass
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from goldilocks_batch.artifacts.cache import origin_of
from goldilocks_batch.artifacts.find import find_model
from goldilocks_batch.artifacts.pull import host_of
from goldilocks_batch.artifacts.registry import Entry, FileEntry
from goldilocks_batch.config.checking import checked
from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.config.slurm import JobRequest
from goldilocks_batch.core.errors import ConfigError, ErrorCode, GoldilocksError, RunError
from goldilocks_batch.core.machine import cores, free_gpu_memory, free_memory, gpus
from goldilocks_batch.core.versions import versions
from goldilocks_batch.execution.slurm.site import Partition, check_request, partitions, slurm
from goldilocks_batch.networks.devices import built_for_gpus
from goldilocks_batch.runs.attempt import screening_of

__all__ = ["Finding", "examine", "site_configuration"]

State = Literal["ok", "note", "problem"]

#: Free space below which scratch or output will not do, bytes.
_LITTLE_SPACE = 10**9


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        subject: what was looked at.
        state: ``ok``, ``note`` (it will do) or ``problem`` (a run will not work).
        text: what was found, and what to do.
    """

    subject: str
    state: State
    text: str


def examine(config: RunConfig) -> list[Finding]:
    """Look at everything that a run with this configuration needs; nothing is changed."""
    checks: list[Callable[[RunConfig], Iterator[Finding]]] = [
        _versions,
        _machine,
        _model,
        _folders,
        _gpus,
        _scheduler,
    ]
    return [finding for check in checks for finding in check(config)]


def _versions(_config: RunConfig) -> Iterator[Finding]:
    for name, version in versions().items():
        missing = version == "not installed"
        yield Finding(name, "problem" if missing else "ok", version)


def _machine(config: RunConfig) -> Iterator[Finding]:
    memory = free_memory(config.workers or cores())
    enough = memory > 10**9
    text = f"{cores()} cores, {memory / 1e9:.1f} GB free for each worker process"
    yield Finding("machine", "ok" if enough else "note", text + ("" if enough else "; use fewer --workers"))


def _model(config: RunConfig) -> Iterator[Finding]:
    lacking: list[Entry] = []
    try:
        work = screening_of(config, lambda choice: find_model(choice, lacking=lacking.append))
    except GoldilocksError as error:
        yield Finding("model", "problem", str(error))
        return
    if lacking:
        names = ", ".join(dict.fromkeys(map(_wanted, lacking)))
        yield Finding("model", "note", f"{config.model}, not here and to be fetched by a run: {names}")
        return
    found = {file.path.name: origin for file in work.model.files if (origin := origin_of(file.path))}
    came = "; ".join(f"{name} came from {host_of(origin)}" for name, origin in found.items())
    text = f"{config.model}, {len(work.model.files)} files with the right digests"
    yield Finding("model", "ok", f"{text} ({came})" if came else text)


def _wanted(entry: Entry) -> str:
    """The path of what is to be fetched, and how many places have it if it is more than one."""
    places = 1 + len(entry.mirrors) if isinstance(entry, FileEntry) else 1
    return entry.path if places == 1 else f"{entry.path} ({places} places)"


def _folders(config: RunConfig) -> Iterator[Finding]:
    scratch = config.slurm.scratch if config.executor == "slurm" else None
    yield _space("output", config.output)
    if scratch is None:
        yield _space("scratch", Path(tempfile.gettempdir()))
    elif "$" in scratch:
        yield Finding("scratch", "note", f"{scratch} depends on the job, which looks for it when it starts")
    elif Path(scratch).is_dir():
        yield _space("scratch", Path(scratch))
    else:
        yield Finding("scratch", "note", f"{scratch} is not here; it must be there on the nodes")
    yield _locks(_existing(config.output.absolute()))


def _space(subject: str, folder: Path) -> Finding:
    there = _existing(folder.absolute())
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(subject, "problem", f"{there} cannot be written to; choose another folder")
    free = shutil.disk_usage(there).free
    return Finding(subject, "ok" if free > _LITTLE_SPACE else "problem", f"{there}: {free / 1e9:.1f} GB free")


def _locks(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        text = f"{folder} has none ({error}): make sure yourself that two runs do not share an output folder"
        return Finding("file locks", "note", text)
    return Finding("file locks", "ok", f"work in {folder}")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _gpus(config: RunConfig) -> Iterator[Finding]:
    found = gpus()
    kept = found.usable
    if found.restriction is not None and kept < found.present:
        text = f"{found.present} on this machine, CUDA_VISIBLE_DEVICES={found.restriction!r} leaves {kept}"
    else:
        text = f"{kept} on this machine" if kept else "none on this machine"
    if kept and not built_for_gpus():
        state: State = "problem" if config.device == "cuda" else "note"
        yield Finding("GPUs", state, f"{text}, which the PyTorch that is installed was built without")
    elif kept:
        free = free_gpu_memory(found.visible).items()
        memory = [f"{name}: {size / 1e9:.1f} GB free" for name, size in free if size is not None]
        yield Finding("GPUs", "ok", "; ".join([text, *memory]))
    elif config.device == "cuda" and config.executor != "slurm":
        yield Finding("GPUs", "problem", f"{text}, and --device cuda was asked for")
    else:
        yield Finding("GPUs", "note", f"{text}; networks run on its cores")


def _scheduler(config: RunConfig) -> Iterator[Finding]:
    wanted = config.executor == "slurm"
    try:
        known = partitions()
    except GoldilocksError as error:
        yield Finding("SLURM", "problem" if wanted else "note", error.message)
        return
    yield Finding("SLURM", "ok", "partitions " + ", ".join(map(_described, known)))
    for package in ("dask-jobqueue", "cryptography"):
        yield _package(package, wanted)
    if wanted:
        for name, request in config.slurm.numbered.items():
            try:
                check_request(request, known)
            except ConfigError as error:
                yield Finding(f"jobs of request {name}", "problem", error.message)
            else:
                yield Finding(f"jobs of request {name}", "ok", "can run here")


def _package(name: str, wanted: bool) -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        text = "not installed; pip install 'goldilocks-batch[slurm]'"
        return Finding(name, "problem" if wanted else "note", text)


def _described(partition: Partition) -> str:
    limit = "no limit" if partition.walltime is None else f"{partition.walltime / 3600:g} h"
    gpus = f", {partition.gpus} GPUs" if partition.gpus else ""
    memory = f"{partition.memory / 1e9:.0f} GB"
    return f"{partition.name} ({partition.nodes} nodes of {partition.cores} cores, {memory}{gpus}; {limit})"


def site_configuration() -> str:
    """A configuration (YAML) for the SLURM of this machine, with what it told of itself as comments.

    Raises:
        ConfigError, RunError: SLURM is not here, or does not answer.
    """
    known = [partition for partition in partitions() if partition.up and _usable(partition.name)]
    if not known:
        raise RunError(ErrorCode.CLUSTER_FAILED, "no partition of this SLURM takes jobs now")
    cpu = next((p for p in known if p.default), known[0])
    with_gpus = [partition for partition in known if partition.gpus]
    lines = [
        "# goldilocks-batch run manifest.parquet --config THIS --dry-run",
        "# Partitions found:",
        *(f"#   {_described(partition)}" for partition in known),
        *(f"# Account of yours: {account}" for account in _accounts()),
        "executor: slurm",
        "jobs: 4                # pilot jobs of each request",
        "slurm:",
        "  requests:",
        *_request(cpu, cores=min(cpu.cores, 16), gpus=0),
    ]
    if with_gpus:
        share = max(1, with_gpus[0].cores // with_gpus[0].gpus)
        first, *others = _request(with_gpus[0], cores=min(share, 16), gpus=1)
        first += "  # for networks: take the marks away, and such jobs work beside the others"
        lines += ["  # " + line[2:] for line in (first, *others)]
    return "\n".join(lines) + "\n"


def _request(partition: Partition, cores: int, gpus: int) -> list[str]:
    hours = 4 if partition.walltime is None else min(4, max(partition.walltime // 3600, 1))
    memory = min(partition.memory * cores // partition.cores // 2**20, cores * 4096)
    lines = [
        f'    - partition: "{partition.name}"',
        "      account: null",
        f'      walltime: "{hours:02d}:00:00"',
        f"      cores: {cores}",
        f"      memory: {memory}MiB",
    ]
    return [*lines, f"      gpus: {gpus}"] if gpus else lines


def _accounts() -> list[str]:
    """Accounts that this user may charge; none where SLURM keeps no accounts."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # as in a container that does not know its user
        return []
    who = f"user={user}"
    try:
        told = slurm("sacctmgr", "--noheader", "--parsable2", "show", "assoc", who, "format=account")
    except GoldilocksError:
        return []
    return sorted(filter(_usable, set(told.splitlines())))


def _usable(name: str) -> bool:
    """Whether an account or partition of this name can be asked for."""
    try:
        checked(JobRequest, {"account": name})
    except ConfigError:
        return False
    return True
