"""Submit the rows of `goldilocks-batch export screening --to aiida -o rows.jsonl` (plugin version 5)."""

import json
import sys
from pathlib import Path

from aiida import load_profile, orm
from aiida.engine import submit
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain
from ase import Atoms

load_profile()
code = orm.load_code("pw@localhost")
for row in map(json.loads, Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()):
    structure = orm.StructureData(ase=Atoms.fromdict(row["structure"]))
    overrides = (row["overrides"] or {}).get("PwBaseWorkChain")
    builder = PwBaseWorkChain.get_builder_from_protocol(code, structure, overrides=overrides)
    if overrides is None:  # no distance gives this mesh
        builder.kpoints = orm.KpointsData()
        builder.kpoints.set_kpoints_mesh(row["kpoints_mesh"])
    print(row["id"], submit(builder).pk)
