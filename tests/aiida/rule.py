"""Run by a Python that has AiiDA: the meshes that AiiDA-QuantumESPRESSO makes of exported rows.

    python rule.py rows.jsonl

Prints, for every row, its id, the mesh of the row and that of ``create_kpoints_from_distance`` at the row's
distance, and the inputs that the protocols make of the row's overrides.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(path: Path) -> None:
    from aiida import load_profile, orm
    from aiida.engine import calcfunction  # noqa: F401
    from aiida.storage.sqlite_temp import SqliteTempBackend
    from aiida_quantumespresso.calculations.functions.create_kpoints_from_distance import (
        create_kpoints_from_distance,
    )
    from aiida_quantumespresso.workflows.pw.bands import PwBandsWorkChain
    from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain
    from aiida_quantumespresso.workflows.pw.relax import PwRelaxWorkChain
    from ase import Atoms

    load_profile(SqliteTempBackend.create_profile("rule"), allow_switch=True)
    chains = {chain.__name__: chain for chain in (PwBaseWorkChain, PwRelaxWorkChain, PwBandsWorkChain)}
    for line in path.read_text(encoding="utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        found: dict[str, Any] = {"id": row["id"], "mesh": row["kpoints_mesh"], "made": None, "inputs": {}}
        if row["kpoints_distance"] is not None:
            structure = orm.StructureData(ase=Atoms.fromdict(row["structure"]))
            made = create_kpoints_from_distance(
                structure,
                orm.Float(row["kpoints_distance"]),
                orm.Bool(False),
                metadata={"store_provenance": False},
            )
            found["made"] = [int(count) for count in made.get_kpoints_mesh()[0]]
            for name, overrides in row["overrides"].items():
                found["inputs"][name] = chains[name].get_protocol_inputs("balanced", overrides)
        sys.stdout.write(json.dumps(found, default=str) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
