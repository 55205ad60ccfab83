"""The folder of one study: its finished rungs, each on disk before the next begins, and where the code works.

::

    studies/<name of the id>/
    ├ study.json        what is studied: id, source, cell, atoms, digest of all that decides the energies
    ├ rung-0003.json    a finished rung: mesh, energy, k-points, time; written beside and renamed
    ├ work/             where the code works; removed at the end but for the files of a failure
    └ kept-0003/        inputs and outputs of a rung, on request
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from goldilocks_batch.convergence.outputs import keep_small
from goldilocks_batch.convergence.study import Point
from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.core.names import lone_name
from goldilocks_batch.structures.crystal import Crystal

__all__ = ["Known", "StudyFolder", "rename_older"]

#: Seconds between two attempts to take the lock of a study that another process still has.
_TRY_EVERY = 0.5
#: Seconds that another process, taken for dead, has to finish its rung.
_PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Known:
    """What is written of a study before its first rung.

    Attributes:
        crystal: the structure, in the cell as supplied.
        start: the first rung.
        digest: sha256 of all that decides the energies.
        version: of the code, as it says itself.
        flags: of the reading.
    """

    crystal: Crystal
    start: int
    digest: str
    version: str
    flags: tuple[str, ...]


def rename_older(base: Path, ids: Iterable[str]) -> None:
    """Give folders that were named by another rule the names that are looked for now.

    Args:
        base: the folder of all studies.
        ids: the structures'.

    Raises:
        RunError: WRITE_FAILED.
    """
    there = {path.name for path in base.glob("*")}
    try:
        for structure_id in ids if there else ():
            plain = re.sub(r"[^A-Za-z0-9._-]+", "_", structure_id)[:40].strip(".") or "study"
            digest = hashlib.sha256(structure_id.encode("utf-8", errors="surrogateescape")).hexdigest()
            older, name = f"{plain}-{digest[:12]}", lone_name(structure_id)
            if older in there and name not in there:
                (base / older).rename(base / name)
    except OSError as error:
        raise RunError(ErrorCode.WRITE_FAILED, f"cannot rename what is in {base}: {error}") from error


class StudyFolder:
    """The folder of one structure's study.

    Args:
        base: the folder of all studies.
        structure_id: the structure's.
    """

    def __init__(self, base: Path, structure_id: str) -> None:
        self.path = base / lone_name(structure_id)
        self.work = self.path / "work"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Make the folder, and keep other processes out of it that have the same study in hand.

        Raises:
            RunError: WRITE_FAILED, the file system refuses; OUTPUT_EXISTS, another process goes on.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o640)
        except OSError as error:
            raise RunError(ErrorCode.WRITE_FAILED, f"cannot use {self.path}: {error}") from error
        try:
            self._take(descriptor)
            for leftover in self.path.glob(".*.tmp"):  # of a process that was killed
                leftover.unlink(missing_ok=True)
            yield
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    message = f"another process works in {self.path}; end it, then run the same command again"
                    raise RunError(ErrorCode.OUTPUT_EXISTS, message) from error
                time.sleep(_TRY_EVERY)
            except OSError:
                return  # a shared file system without locks; rungs are written atomically all the same
            else:
                return

    def begin(self, known: Known) -> None:
        """Write what is studied.

        Raises:
            RunError: WRITE_FAILED.
        """
        crystal = known.crystal
        self._write(
            "study.json",
            {
                "cell": crystal.lattice.ravel().tolist(),
                "frac": crystal.frac.ravel().tolist(),
                "numbers": crystal.numbers.tolist(),
                "pbc": crystal.pbc.tolist(),
                "start": known.start,
                "input_sha256": known.digest,
                "code_version": known.version,
                "flags": list(known.flags),
            },
        )

    def known(self) -> Known | None:
        """What was written of the study; None if it has not begun."""
        values = self._read("study.json")
        try:
            crystal = Crystal(
                np.array(values["cell"]).reshape(3, 3),
                np.array(values["frac"]).reshape(-1, 3),
                np.array(values["numbers"], dtype=np.int64),
                np.array(values["pbc"], dtype=bool),
            )
            return Known(
                crystal,
                int(values["start"]),
                str(values["input_sha256"]),
                str(values["code_version"]),
                tuple(values["flags"]),
            )
        except (KeyError, ValueError, TypeError):
            return None

    def finished(self, digest: str, start: int) -> list[Point]:
        """Rungs that are there, from the first one on without a gap; others' inputs do not count."""
        points: list[Point] = []
        while (point := self._point(start + len(points), digest)) is not None:
            points.append(point)
        return points

    def _point(self, rung: int, digest: str) -> Point | None:
        values = self._read(f"rung-{rung:04d}.json")
        try:
            first, second, third = (int(n) for n in values["mesh"])
            point = Point(
                int(values["rung"]),
                (first, second, third),
                float(values["energy"]),
                int(values["kpoints"]),
                float(values["seconds"]),
                bool(values.get("several_fermi_energies", False)),
            )
        except (KeyError, ValueError, TypeError):
            return None
        sound = point.rung == rung and math.isfinite(point.energy)
        return point if sound and values.get("input_sha256") == digest else None

    def add(self, point: Point, digest: str) -> None:
        """Write a rung; when this returns, it is on disk.

        Raises:
            RunError: WRITE_FAILED.
        """
        self._write(
            f"rung-{point.rung:04d}.json",
            {
                "rung": point.rung,
                "mesh": list(point.mesh),
                "energy": point.energy,
                "kpoints": point.kpoints,
                "seconds": point.seconds,
                "several_fermi_energies": point.several_fermi_energies,
                "input_sha256": digest,
            },
        )

    def keep(self, rung: int) -> None:
        """Keep the inputs and outputs of the rung that the code has just done.

        Raises:
            RunError: WRITE_FAILED.
        """
        target = self.path / f"kept-{rung:04d}"
        shutil.rmtree(target, ignore_errors=True)
        try:
            target.mkdir()
            for path in self.work.iterdir():
                if path.is_file():
                    shutil.copy2(path, target / path.name)
        except OSError as error:
            raise RunError(ErrorCode.WRITE_FAILED, f"cannot keep {self.work}: {error}") from error
        keep_small(target)

    def set_aside(self, name: str) -> None:
        """Name the output of a calculation that is done again, so that it is kept with the others."""
        with contextlib.suppress(OSError):
            (self.work / "espresso.pwo").rename(self.work / f"set-aside-{name}.pwo")

    def clear(self) -> None:
        """Make the folder in which the code works, empty.

        Raises:
            RunError: WRITE_FAILED.
        """
        shutil.rmtree(self.work, ignore_errors=True)
        try:
            self.work.mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(ErrorCode.WRITE_FAILED, f"cannot make {self.work}: {error}") from error

    def leave(self, *, failed: bool) -> None:
        """Remove what the code left behind, but for inputs and outputs of a failure."""
        if failed and any(self.work.glob("*")):
            keep_small(self.work)
        else:
            shutil.rmtree(self.work, ignore_errors=True)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            values = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def _write(self, name: str, values: dict[str, Any]) -> None:
        with atomic_path(self.path / name) as temporary:
            temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
