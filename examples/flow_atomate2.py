"""A flow for every row of `goldilocks-batch export screening --to atomate2 -o rows.jsonl`."""

import json
import sys
from pathlib import Path

from atomate2.vasp.jobs.core import StaticMaker
from atomate2.vasp.powerups import update_user_kpoints_settings
from jobflow import Flow
from jobflow.managers.local import run_locally
from pymatgen.core import Structure
from pymatgen.io.vasp import Kpoints

jobs = []
for row in map(json.loads, Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()):
    job = StaticMaker().make(Structure.from_dict(row["structure"]))
    job.name = row["id"]
    jobs.append(update_user_kpoints_settings(job, Kpoints.from_dict(row["kpoints"])))
run_locally(Flow(jobs, name="screening"), create_folders=True)
