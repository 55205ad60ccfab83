"""``run.json``: what was asked, with what, on what, and what came of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.core.files import atomic_path
from goldilocks_batch.results.report import Report

__all__ = ["RunRecord", "now", "record_of"]


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def record_of(output: Path) -> RunRecord:
    """The record of a run that has begun.

    Raises:
        RunError: it is not the folder of a run.
    """
    record = RunRecord(output)
    if not record.read():
        raise RunError(ErrorCode.RESUME_REFUSED, f"{output} holds no run.json: not the folder of a run")
    return record


class RunRecord:
    """The file ``run.json`` of an output folder: written at the start, completed at the end.

    It keeps one entry an attempt, so that a run that was interrupted and resumed tells its whole story.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "run.json"
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
            values["identity"], values["attempts"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                ErrorCode.RESUME_REFUSED,
                f"{self.path} is not a run record ({error!r}); choose another --output, or --overwrite",
            ) from error
        self.values = values
        return True

    def begin(self, **values: object) -> None:
        """Write what is known at the start: configuration, identity, inputs, model, versions."""
        attempts = self.values.get("attempts", [])
        for attempt in attempts:
            if attempt["state"] == "running":  # it had no time to say how it ended
                attempt["state"] = "killed"
        attempts.append({"started": now(), "state": "running"})
        first = self.values.get("started", attempts[-1]["started"])
        self.values = {"state": "running", "started": first, **values, "attempts": attempts}
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
