"""What is told of a shard, and by addition of a run: counts, times and k-points, never rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["WORK", "Report", "total"]

#: Name of the sums of what calculations take, beside those of k-points.  At each k-point a plane-wave code
#: works on as many bands as there are electrons, with as many plane waves as the cell has room for: its time
#: grows with the square of the cell.
WORK = "work"
_COUNTERS = ("failures", "flags", "kpoints", "devices")


@dataclass(slots=True)
class Report:
    """Counts over some rows.

    Attributes:
        rows: how many rows.
        ok: how many have a prediction (or whatever was asked for).
        failures: how many failed, by error code.
        flags: how many carry each flag.
        seconds: time spent in each stage, s.
        kpoints: sums over the ok rows of the k-points of each mesh, by column name, and of `WORK`.
        peak_memory: most memory that the process of any of the rows had taken by then, bytes.
        devices: how many of the ok rows have their networks' answer from each kind of device.
    """

    rows: int = 0
    ok: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    kpoints: Counter[str] = field(default_factory=Counter)
    peak_memory: int = 0
    devices: Counter[str] = field(default_factory=Counter)

    def __iadd__(self, other: Report) -> Report:
        self.rows += other.rows
        self.ok += other.ok
        self.failures.update(other.failures)
        self.flags.update(other.flags)
        for stage, spent in other.seconds.items():
            self.spend(stage, spent)
        self.kpoints.update(other.kpoints)
        self.devices.update(other.devices)
        self.peak_memory = max(self.peak_memory, other.peak_memory)
        return self

    def spend(self, stage: str, seconds: float) -> None:
        """Add to the time of a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    @property
    def failed(self) -> int:
        """Rows that failed."""
        return self.rows - self.ok

    def to_dict(self) -> dict[str, object]:
        """As plain numbers and mappings, seconds to the millisecond."""
        counters = {name: dict(sorted(getattr(self, name).items())) for name in _COUNTERS}
        seconds = {stage: round(value, 3) for stage, value in self.seconds.items()}
        numbers = {"rows": self.rows, "ok": self.ok, "peak_memory": self.peak_memory}
        return {**numbers, **counters, "seconds": seconds}

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read back what :meth:`to_json` wrote.

        Raises:
            ValueError: the text is not such a line.
        """
        try:
            values = json.loads(text)
            return cls(
                rows=int(values["rows"]),
                ok=int(values["ok"]),
                failures=Counter(values["failures"]),
                flags=Counter(values["flags"]),
                seconds=dict(values["seconds"]),
                kpoints=Counter(values["kpoints"]),
                peak_memory=int(values["peak_memory"]),
                devices=Counter(values["devices"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a report: {error}") from error


def total(reports: Iterable[Report]) -> Report:
    """The sum of reports, a new one."""
    result = Report()
    for report in reports:
        result += report
    return result
