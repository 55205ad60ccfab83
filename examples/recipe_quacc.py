"""A calculation for every frame of `goldilocks-batch export screening --to ase -o rows.xyz`, by quacc."""

import sys

from ase.io import iread
from quacc.recipes.vasp.core import static_job

for atoms in iread(sys.argv[1]):
    static_job(atoms, kpts=atoms.info["kpts"].tolist(), gamma=bool(atoms.info["gamma"]))
    print(atoms.info["id"])
