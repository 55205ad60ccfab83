"""What a run does to a file system that it shares: few files, and no looking again and again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Runs the screening with a wait in every shard, and counts what the process of client, scheduler and
#: supervisors asks of the output folder.  An audit hook cannot be taken away: hence a process of its own.
PROGRAM = """
import json, os, sys
from collections import Counter
from pathlib import Path

output = os.path.abspath(sys.argv[2])
seen = Counter()

def note(event, path):
    if isinstance(path, (str, os.PathLike)) and str(path).startswith(output):
        seen[event] += 1

def hook(event, arguments):
    if event in ("open", "os.scandir", "os.listdir", "os.rename", "os.remove") and arguments:
        note(event, arguments[0])

def counted(event, function):
    def call(path, *rest, **options):
        note(event, path)
        return function(path, *rest, **options)
    return call

sys.addaudithook(hook)
os.stat, os.lstat = counted("os.stat", os.stat), counted("os.stat", os.lstat)  # these raise no audit event
import pyarrow.parquet as pq
pq.read_metadata = counted("read_metadata", pq.read_metadata)  # nor does reading by C++

from goldilocks_batch import RunConfig
from goldilocks_batch.runs.attempt import begun
from goldilocks_batch.runs.run import executor_for, process, Silent
from tests.integration.slow_work import SlowScreening
from dataclasses import replace

if __name__ == "__main__":
    config = RunConfig(inputs=(Path(sys.argv[1]),), output=Path(output), model="baseline", workers=2,
                       dashboard=None)
    with begun(config) as (assignment, record):
        slow = replace(assignment, work=SlowScreening(assignment.work, float(sys.argv[3])))
        with executor_for(config) as executor:
            state = process(slow, executor, int(sys.argv[4]), Silent())
    print(json.dumps([state, seen]))
"""


def counts(manifest: Path, output: Path, seconds: float, shard_size: int) -> Counter[str]:
    """Calls on the output folder during a run whose shards wait for ``seconds``."""
    command = [sys.executable, "-c", PROGRAM, str(manifest), str(output), str(seconds), str(shard_size)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    state, seen = json.loads(done.stdout.splitlines()[-1])
    assert state == "completed"
    return Counter(seen)


@pytest.mark.slow
def test_the_output_is_not_looked_at_while_shards_are_under_way(manifest: Path, tmp_path: Path) -> None:
    quick = counts(manifest, tmp_path / "quick", 0.0, 150)
    slow = counts(manifest, tmp_path / "slow", 3.0, 150)  # 600 rows: two rounds of 3 s
    assert slow == quick
    assert quick["read_metadata"] == 4  # each part's footer once
    assert 0 < quick["os.scandir"] + quick["os.listdir"] <= 8


@pytest.mark.slow
def test_the_calls_of_a_shard_are_few_and_the_files_those_of_the_parts(
    manifest: Path, tmp_path: Path
) -> None:
    few = counts(manifest, tmp_path / "few", 0.0, 150)
    many = counts(manifest, tmp_path / "many", 0.0, 30)
    for output, parts in ((tmp_path / "few", 4), (tmp_path / "many", 20)):
        names = sorted(path.name for path in output.rglob("*") if path.is_file())
        assert len(names) == parts + 2
        assert [name for name in names if not name.startswith("part-")] == [".lock", "run.json"]
    assert many.total() - few.total() <= 4 * (20 - 4)
