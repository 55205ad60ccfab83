"""The folder of a run: who may write to it, what is recorded of it, which result files count."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.results.lock import LOCK, locked
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.results.record import RECORD, RunRecord
from goldilocks_batch.results.schema import result_schema
from goldilocks_batch.results.shards import Identity, missing_rows

__all__ = ["MESHES", "PAGE", "STUDIES", "RunFolder", "read_results"]

#: Name of the page about a run in its folder.
PAGE = "report.html"
#: What the identity of convergence studies says that they are; that of a run says nothing.
STUDIES = "convergence"
#: The meshes that these have finished, in their folder.
MESHES = "studies/*/rung-*.json"
#: What a run makes in its folder.
_INPUTS = "inputs"
_OWN = (RECORD, "results", "logs", _INPUTS, LOCK, ".private", PAGE)


class RunFolder:
    """Lock, record and result files of a run.

    Args:
        path: the folder, which need not exist.

    Attributes:
        path: the folder.
        record: its ``run.json``, empty until it has been read or begun.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = RunRecord(path)

    @classmethod
    def of(cls, path: Path) -> RunFolder:
        """The folder of a run that has begun.

        Raises:
            RunError: RESUME_REFUSED, it is no such folder, or its record is damaged.
        """
        folder = cls(path)
        if not folder.record.read():
            found = f"holds no {RECORD}: not the folder" if path.is_dir() else "does not exist: no folder"
            message = f"{path} {found} of a run"
            raise RunError(ErrorCode.RESUME_REFUSED, message)
        return folder

    def parts_of(self, identity: Identity) -> Parts:
        """The result files of a run of this identity, which may only be about to begin."""
        return Parts(self.path / "results", identity.fingerprint, result_schema())

    @property
    def parts(self) -> Parts:
        """The result files of the recorded run; older versions wrote fewer columns."""
        return Parts(self.path / "results", str(self.record.values["fingerprint"]))

    @property
    def holds_studies(self) -> bool:
        """Whether the folder was begun with convergence studies, and not with a run."""
        return bool(self.record.values["identity"].get("kind") == STUDIES)

    @contextlib.contextmanager
    def opened(self, identity: Identity, *, overwrite: bool = False, patience: float = 0.0) -> Iterator[None]:
        """Make the folder and keep others out of it; the record is read, or empty for a run that is new.

        Args:
            identity: of the run.
            overwrite: discard the results of another run, and write beside what else is there.
            patience: s that others have to leave.

        Raises:
            RunError: RESUME_REFUSED, the folder holds another run; OUTPUT_EXISTS, it is in use, or holds
                other things than a run; WRITE_FAILED, the file system refuses.
        """
        self._make(overwrite)
        with locked(self.path, patience=patience):
            for leftover in self.path.glob(f".{RECORD}.*.tmp"):  # of a process that was killed
                leftover.unlink(missing_ok=True)
            try:
                self._check(identity)
            except RunError:
                if not (overwrite or self._came_to_nothing()):
                    raise
                self._discard()
            yield

    @contextlib.contextmanager
    def inputs(self, *, overwrite: bool = False) -> Iterator[Path]:
        """Make the folder, and in it one for inputs that a run fetches; others are kept out meanwhile.

        Args:
            overwrite: write beside what else is there.

        Raises:
            RunError: OUTPUT_EXISTS, the folder is in use, or holds other things than a run; WRITE_FAILED.
        """
        self._make(overwrite)
        with locked(self.path):
            path = self.path / _INPUTS
            path.mkdir(mode=0o750, exist_ok=True)
            yield path

    def shared(self, patience: float) -> contextlib.AbstractContextManager[None]:
        """Keep runs out of the folder, but not the other tasks of a job array.

        Args:
            patience: s that a run has to leave, or a submission to end.

        Raises:
            RunError: OUTPUT_EXISTS, a run is writing there.
        """
        return locked(self.path, shared=True, patience=patience)

    def compact(self) -> tuple[int, int]:
        """Compact the results of a run that has begun, finished or not.

        Returns:
            Number of files before and after.

        Raises:
            RunError: others are writing to the folder, or it cannot be written.
        """
        with locked(self.path):
            return self.parts.compact()

    def _make(self, overwrite: bool) -> None:
        """Make the folder, or refuse one that is not a run's."""
        try:
            new = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)  # another run may begin there at the same moment
            if new:
                # unpublished structures are nobody else's business
                self.path.chmod(self.path.stat().st_mode & ~0o007)
            foreign = [path.name for path in self.path.iterdir() if not _is_own(path.name)]
        except OSError as error:
            raise RunError(ErrorCode.WRITE_FAILED, f"cannot use {self.path} as output: {error}") from error
        if foreign and not self.record.path.exists() and not overwrite:
            raise RunError(
                ErrorCode.OUTPUT_EXISTS,
                f"{self.path} holds {', '.join(sorted(foreign)[:3])} and no {RECORD}; choose an empty "
                "or new folder, or name it once more with --overwrite to write beside what is there",
            )

    def _check(self, identity: Identity) -> None:
        """Hold what is there to the run that is to be resumed or begun."""
        if self.record.read():
            identity.check_resumable(self.record.values["identity"])
        elif self.parts_of(identity).scan().foreign:
            raise RunError(
                ErrorCode.RESUME_REFUSED,
                f"{self.path} holds results of a different run, and no {RECORD} that tells of it. Choose "
                "another --output, or discard those results with --overwrite",
            )

    def _came_to_nothing(self) -> bool:
        """Whether a run was begun there that has left no result, and that nobody may be about to take up."""
        state = self.record.values.get("state", "unknown")
        left = any((self.path / "results").glob("part-*.parquet"))
        return state not in ("submitted", "unknown") and not left

    def _discard(self) -> None:
        """Remove a run's results, record and page, and nothing else that may lie in the folder."""
        try:
            for path in (self.path / "results").glob("part-*.parquet"):
                path.unlink()
            self.record.path.unlink(missing_ok=True)
            (self.path / PAGE).unlink(missing_ok=True)
        except OSError as error:
            message = f"cannot discard what is in {self.path}: {error}; remove it yourself"
            raise RunError(ErrorCode.WRITE_FAILED, message) from error
        self.record = RunRecord(self.path)


def _is_own(name: str) -> bool:
    return name in _OWN or (name.startswith(f".{RECORD}.") and name.endswith(".tmp"))


def read_results(folder: str | Path, columns: list[str] | None = None, *, partial: bool = False) -> pa.Table:
    """The result table of a run, in the order of the inputs.

    Args:
        folder: a run's output folder (the one with ``run.json``).
        columns: the columns wanted; all by default.
        partial: take what is there of a run that is not complete.

    Raises:
        RunError: RESUME_REFUSED, it is not the folder of a run; ROWS_LOST, rows are missing, or a file is
            damaged.
    """
    found = RunFolder.of(Path(folder))
    parts, rows = found.parts, int(found.record.values["rows"])
    scan = parts.scan()
    missing = missing_rows(rows, scan.shards)
    if missing and not partial:
        bad = f"; {len(scan.untrusted)} files are damaged or of another run" if scan.untrusted else ""
        raise RunError(
            ErrorCode.ROWS_LOST,
            f"{folder} holds results for {scan.rows} of {rows} rows, none for row {missing[0].start}{bad}. "
            f"Complete it with goldilocks-batch collect {folder}, or read what is there with partial=True",
        )
    if scan.parts and scan.parts[-1].shard.stop > rows:
        message = f"{scan.parts[-1].path} holds rows beyond the {rows} of {found.record.path}: remove it"
        raise RunError(ErrorCode.ROWS_LOST, message)
    return parts.table(columns)
