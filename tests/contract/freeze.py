"""``python -m tests.contract.freeze [kind …]`` writes what the code does today into the contract's fixtures.

Run it in the checkout's root after a change that is meant, and commit the fixtures with the change: their
diff is what users, scripts and older folders will notice.  Without names all kinds are frozen.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.contract.kinds import KINDS, KINDS_OF_SHARED_DATA, fixture, frozen, written
from tests.contract.observed import ROOT, Workplace
from tests.contract.shapes import differences


def main(names: list[str]) -> int:
    """Freeze the kinds named; 2 if one is unknown or cannot be made here."""
    known = [*KINDS, *KINDS_OF_SHARED_DATA]
    if unknown := set(names) - set(known):
        sys.stderr.write(f"no kind {', '.join(sorted(unknown))}; there are: {', '.join(known)}\n")
        return 2
    hub = Path(os.environ.get("GOLDILOCKS_SHARED", ROOT.parent / "shared")) / "hub"
    # as in the tests: no file of the user's is used, no host is asked
    for variable in ("HF_ENDPOINT", "GOLDILOCKS_GITHUB", "GOLDILOCKS_PSDI"):
        os.environ[variable] = "http://127.0.0.1:9"
    status = 0
    with tempfile.TemporaryDirectory(prefix="goldilocks-contract-") as folder:
        place = Workplace(Path(folder))
        for kind in names or known:
            if kind in KINDS:
                found = KINDS[kind](place)
            elif hub.is_dir():
                found = KINDS_OF_SHARED_DATA[kind](place, hub)
            else:
                sys.stderr.write(f"{kind}: left as it is, set GOLDILOCKS_SHARED to the development data\n")
                status = 2
                continue
            before = frozen(kind) if fixture(kind).exists() else {}
            for line in differences(before, found):
                sys.stdout.write(f"{kind}: {line}\n")
            fixture(kind).write_text(written(found), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
