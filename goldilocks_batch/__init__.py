"""K-point distances and meshes for whole databases of crystals.

>>> import goldilocks_batch
>>> table = goldilocks_batch.predict(structures, model="baseline")          # doctest: +SKIP
>>> summary = goldilocks_batch.run(goldilocks_batch.RunConfig(inputs=["cifs/"]))  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goldilocks_batch.config.convergence import ConvergeConfig
    from goldilocks_batch.config.run import RunConfig, load_config
    from goldilocks_batch.convergence.converge import converge
    from goldilocks_batch.core.errors import GoldilocksError
    from goldilocks_batch.exports.choice import kpoints
    from goldilocks_batch.report.page import write_report
    from goldilocks_batch.results.folder import read_results
    from goldilocks_batch.runs.run import RunSummary, run
    from goldilocks_batch.screening.predict import predict

_HOMES = {
    "ConvergeConfig": "config.convergence",
    "GoldilocksError": "core.errors",
    "RunConfig": "config.run",
    "RunSummary": "runs.run",
    "converge": "convergence.converge",
    "kpoints": "exports.choice",
    "load_config": "config.run",
    "predict": "screening.predict",
    "read_results": "results.folder",
    "run": "runs.run",
    "write_report": "report.page",
}

__all__ = [
    "ConvergeConfig",
    "GoldilocksError",
    "RunConfig",
    "RunSummary",
    "converge",
    "kpoints",
    "load_config",
    "predict",
    "read_results",
    "run",
    "write_report",
]


def __getattr__(name: str) -> Any:
    # names are fetched when first used: `import goldilocks_batch` costs nothing
    if name == "__version__":
        from importlib.metadata import version

        return version("goldilocks-batch")
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _Package(ModuleType):
    """The package; its name ``kpoints`` is the function, also once the room of that name has been imported.

    Imports find the room in ``sys.modules``; what they set here in passing is let go.
    """

    @property
    def kpoints(self) -> Any:
        return __getattr__("kpoints")

    @kpoints.setter
    def kpoints(self, room: object) -> None:
        """Keep the function."""


sys.modules[__name__].__class__ = _Package
