"""K-point distances and meshes for whole databases of crystals.

>>> import goldilocks_batch
>>> table = goldilocks_batch.predict(structures, model="baseline")          # doctest: +SKIP
>>> summary = goldilocks_batch.run(goldilocks_batch.RunConfig(inputs=["cifs/"]))  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goldilocks_batch.api import predict
    from goldilocks_batch.config import RunConfig, load_config
    from goldilocks_batch.errors import GoldilocksError
    from goldilocks_batch.runner import RunSummary, run
    from goldilocks_batch.sink import read_results

_HOMES = {
    "GoldilocksError": "errors",
    "RunConfig": "config",
    "RunSummary": "runner",
    "load_config": "config",
    "predict": "api",
    "read_results": "sink",
    "run": "runner",
}

__all__ = ["GoldilocksError", "RunConfig", "RunSummary", "load_config", "predict", "read_results", "run"]


def __getattr__(name: str) -> Any:
    # names are fetched when first used: `import goldilocks_batch` costs nothing
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
