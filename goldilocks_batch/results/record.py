"""``run.json``: what was asked, with what, on what, and what came of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.core.versions import shared_versions, versions
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Identity

__all__ = ["RECORD", "RunRecord", "now"]

#: Name of the file.
RECORD = "run.json"


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class _Attempt(BaseModel):
    started: Annotated[str, AfterValidator(datetime.fromisoformat)]
    state: str


class _Shape(BaseModel):
    """What every version has written and others rely on."""

    identity: dict[str, Any]
    attempts: list[_Attempt] = Field(min_length=1)
    fingerprint: str
    state: str
    rows: int = Field(ge=0)


class RunRecord:
    """The file ``run.json`` of an output folder: written at the start, completed at the end.

    It keeps one entry an attempt, so that a run that was interrupted and resumed tells its whole story.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD
        self.values: dict[str, Any] = {}

    def read(self) -> bool:
        """Load the record of an earlier attempt; False if there is none.

        Raises:
            RunError: there is a file, but it is not such a record.
        """
        if not self.path.exists():
            return False
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
            _Shape.model_validate(values)
        except OSError as error:
            raise RunError(ErrorCode.RESUME_REFUSED, f"{self.path} cannot be read: {error}") from error
        except (ValueError, RecursionError) as error:
            raise RunError(
                ErrorCode.RESUME_REFUSED,
                f"{self.path} is damaged, or no record of a run ({_complaint(error)}). If it is this run's, "
                "remove it and run the same command again: the results that are there are kept. Else choose "
                "another --output",
            ) from error
        self.values = values
        return True

    def begin(self, identity: Identity, **values: object) -> None:
        """Write what is known at the start: identity, what the kind of run adds, versions.

        Args:
            identity: of the run.
            values: such as its configuration, inputs, rows and model.
        """
        attempts = self.values.get("attempts", [])
        for attempt in attempts:
            if attempt["state"] == "running":  # it had no time to say how it ended
                attempt["state"] = "killed"
        attempts.append({"started": now(), "state": "running"})
        first = self.values.get("started", attempts[-1]["started"])
        self.values = {
            "state": "running",
            "started": first,
            "fingerprint": identity.fingerprint,
            "identity": dict(identity.parts),
            **values,
            "versions": versions(),
            "shared_versions": dict(shared_versions()),
            "attempts": attempts,
        }
        self._write()

    def end(self, state: str, report: Report, **attempt: object) -> None:
        """Complete the record: how it ended, the counts over all parts, the times of this attempt."""
        finished = now()
        self.values["attempts"][-1] |= {"finished": finished, "state": state, **attempt}
        self.values |= {"state": state, "finished": finished, "counts": report.to_dict()}
        self._write()

    def _write(self) -> None:
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(self.values, indent=2, default=str) + "\n", encoding="utf-8")


def _complaint(error: Exception) -> str:
    """What is wrong with a record, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" if place else first["msg"]
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
