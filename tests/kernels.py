"""``python -m tests.kernels`` writes down with which types of arguments the package calls its kernels.

``goldilocks_batch/core/kernels.json`` is what a warm-up compiles.  Write it anew when kernels change, or what
calls them; the development data must be there.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = ROOT / "goldilocks_batch" / "core" / "kernels.json"


def work(folder: Path, shared: Path) -> None:
    """Have every kernel called: structures of all formats, all models, training, suggestions.

    Args:
        folder: an empty one.
        shared: the development data.
    """
    import numpy as np
    import pyarrow.parquet as pq

    from goldilocks_batch import RunConfig, run
    from goldilocks_batch.cli.app import app
    from goldilocks_batch.training.selection import suggest
    from tests.training_data import write_labelled

    manifest = folder / "mc3d.parquet"
    pq.write_table(pq.read_table(shared / "data" / "mc3d_pbe.parquet").slice(0, 60), manifest)
    hub = {"artifacts": shared / "hub", "registry": ROOT / "tests" / "registry-standins.toml"}
    structures = ROOT / "examples" / "structures"
    for model, options in (
        ("mc3d", {}),
        ("rf", hub),
        ("alignn", hub | {"single_site": "supercell", "device": "cpu"}),
    ):
        values = {"inputs": [structures, manifest], "output": folder / model, "executor": "serial"}
        run(RunConfig.model_validate({**values, "model": model, "equal_axes": model == "rf", **options}))
    labels = write_labelled(folder / "labels.parquet", 60)
    places = ("-o", str(folder / "model"), "--cache", str(folder / "cache"), "--executor", "serial")
    app(["train", "rf", str(labels), "--target", "k_dist", *places], standalone_mode=False)
    rng = np.random.default_rng(0)
    suggest(rng.random((20, 6)), np.sort(rng.random((20, 2))), rng.random((30, 6)), 3)


def signatures() -> dict[str, list[list[Any]]]:
    """The types that each kernel has been compiled for in this process."""
    from goldilocks_batch.core.compiled import defined

    found = {}
    for name, dispatcher in sorted(defined().items()):
        calls = [call for call in map(_call, dispatcher.signatures) if call is not None]
        if calls:
            found[name] = sorted(calls, key=str)
    return found


def _call(signature: tuple[Any, ...]) -> list[Any] | None:
    """The types of a call; None for one that only another kernel makes."""
    try:
        return [_described(kind) for kind in signature]
    except TypeError:
        return None


def _described(kind: Any) -> Any:
    types: Any = importlib.import_module("numba.core.types")
    if isinstance(kind, types.Array):
        about = {"array": str(kind.dtype), "dimensions": kind.ndim, "layout": kind.layout}
        return about if kind.mutable else about | {"readonly": True}
    if isinstance(kind, types.BaseTuple):
        about = {"tuple": [_described(item) for item in kind]}
        named = getattr(kind, "instance_class", None)
        return about if named is None else about | {"class": f"{named.__module__}:{named.__qualname__}"}
    if isinstance(kind, types.Boolean | types.Integer | types.Float) and not isinstance(kind, types.Literal):
        return str(kind)
    raise TypeError(f"{kind} is the business of other kernels")


def main() -> None:
    """Write the file anew."""
    shared = Path(os.environ.get("GOLDILOCKS_SHARED", ROOT.parent / "shared"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GOLDILOCKS_CACHE"] = str(Path(folder) / "goldilocks")
        for variable in ("HF_ENDPOINT", "GOLDILOCKS_GITHUB", "GOLDILOCKS_PSDI"):
            os.environ[variable] = "http://127.0.0.1:9"
        work(Path(folder), shared)
    found = signatures()
    lines = [f"{json.dumps(name)}: {json.dumps(calls)}" for name, calls in found.items()]
    WRITTEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    sys.stderr.write(f"{len(found)} kernels, {sum(map(len, found.values()))} signatures\n")


if __name__ == "__main__":
    from goldilocks_batch.core.kernel_cache import kernel_folder

    os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_folder()))
    main()
