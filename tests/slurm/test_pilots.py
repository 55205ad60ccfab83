"""Pilot jobs on a real SLURM: the table is that of a serial run, whatever happens to the jobs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from goldilocks_batch import RunConfig, read_results, run
from goldilocks_batch.core.errors import RunError
from goldilocks_batch.execution.dask import executor as executor_module
from goldilocks_batch.execution.dask.executor import DaskExecutor
from goldilocks_batch.execution.select import dask_executor
from goldilocks_batch.execution.slurm import pool as slurm_pool
from goldilocks_batch.results.parts import Parts
from goldilocks_batch.runs.attempt import screening_of
from goldilocks_batch.runs.run import Assignment, process
from goldilocks_batch.structures.sources.sourceset import open_sources
from tests.integration.failing import FailingScreening
from tests.integration.runs import FINGERPRINT, Recorder, rows_of
from tests.slurm.single_node import Slurm, wait_for_parts

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("slurm")]

#: `pytest --log-cli-level=INFO` shows them.
FIGURES = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
REQUEST = {"memory": "1GB", "cores": 1, "walltime": "00:10:00"}
#: What a shard that was charged for a lost process leaves in the log.
SPLIT = "tried again in halves"


def options(output: Path, **changes: Any) -> dict[str, Any]:
    return {
        "output": str(output),
        "model": "baseline",
        "executor": "slurm",
        "shard_size": 20,
        "slurm": {"interface": "lo", "requests": REQUEST},
        **changes,
    }


def begin(manifest: Path, values: dict[str, Any], folder: Path) -> subprocess.Popen[str]:
    configuration = folder / "config.json"  # JSON is YAML
    configuration.write_text(json.dumps(values))
    command = [sys.executable, "-m", "goldilocks_batch.cli.app", "run", str(manifest)]
    command += ["-c", str(configuration)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str], seconds: float = 120.0) -> tuple[int, str]:
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, out + err


def test_two_pilot_jobs(slurm: Slurm, manifest: Path, undisturbed: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    output.mkdir(mode=0o755)  # the user's own choice; what is in it is not for others
    process = begin(manifest, options(output, jobs=2), tmp_path)
    wait_for_parts(output, 3, process)
    assert len(slurm.jobs("running")) == 2
    private = output / ".private"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in private.iterdir()} == {0o600}
    status, text = end(process)
    assert status in (0, 1), text
    everything = [output / "results", *output.glob("*/*"), *output.glob("*.json"), output / ".lock"]
    assert {"worker", "part"} <= {path.name.partition("-")[0] for path in everything}
    assert [path for path in everything if path.stat().st_mode & stat.S_IRWXO] == []
    assert read_results(output).equals(read_results(undisturbed))
    assert SPLIT not in text
    assert not private.exists()
    slurm.wait_until_empty()


def test_jobs_with_and_without_gpus_together(
    slurm: Slurm, manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    requests = [REQUEST, {**REQUEST, "gpus": 1, "partition": "other"}]
    process = begin(manifest, options(output, slurm={"interface": "lo", "requests": requests}), tmp_path)
    wait_for_parts(output, 3, process)
    listed = slurm.ask("squeue", "--noheader", "--states", "running", "--format", "%P %b")
    assert [line.split()[0] for line in sorted(listed.splitlines())] == ["main", "other"]
    assert "gpu" in listed
    status, text = end(process)
    assert status in (0, 1), text
    assert read_results(output).equals(read_results(undisturbed))


@pytest.mark.shared
def test_networks_in_jobs_with_and_without_gpus(
    slurm: Slurm, shared: Path, tmp_path: Path, gpus_seen: Path
) -> None:
    manifest = tmp_path / "manifest.parquet"
    pq.write_table(pq.read_table(shared / "data" / "mc3d_pbe.parquet").slice(0, 60), manifest)
    model = {
        "model": "alignn",
        "artifacts": str(shared / "hub"),
        "registry": str(ROOT / "tests" / "registry-standins.toml"),
        "device": "auto",  # the GPU that SLURM grants here is none: its job infers on its core
    }
    request = {**REQUEST, "memory": "2GB"}
    slurm_options = {"interface": "lo", "requests": [request, {**request, "gpus": 1}]}
    output = tmp_path / "run"
    values = options(output, slurm=slurm_options, shard_size=15, **model)
    status, text = end(begin(manifest, values, tmp_path), 200)
    assert status in (0, 1), text
    assert SPLIT not in text
    # the same shards: sums over a batch of graphs depend on the batch in their last digit
    alone = {**model, "inputs": [manifest], "output": tmp_path / "alone", "shard_size": 15}
    run(RunConfig.model_validate({**alone, "executor": "serial"}))
    assert read_results(output).equals(read_results(tmp_path / "alone"))
    assert set(read_results(output)["device"].to_pylist()) == {"cpu"}
    # each child has the GPU that its job was granted, or none
    assert set(gpus_seen.read_text().splitlines()) == {"0", ""}
    slurm.wait_until_empty()


def test_a_cancelled_job_is_replaced_and_nothing_is_charged(
    slurm: Slurm, manifest: Path, undisturbed: Path, tmp_path: Path, structures_begun: Callable[[], int]
) -> None:
    output = tmp_path / "run"
    process = begin(manifest, options(output, shard_size=5), tmp_path)
    wait_for_parts(output, 10, process)
    first = slurm.jobs("running")
    slurm.ask("scancel", *first)
    status, text = end(process)
    assert status in (0, 1), text
    assert read_results(output).equals(read_results(undisturbed))
    assert SPLIT not in text
    assert len(list((output / "logs").glob("worker-*.log"))) == 2
    twice = structures_begun() - 2000
    FIGURES.info("a job cancelled: %d structures begun twice", twice)
    assert twice <= 10, "one shard was in hand, and the answer of one may not have been fetched"


def test_a_walltime_shorter_than_the_work(
    manifest: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    request = {**REQUEST, "walltime": "00:02:00"}  # its worker leaves after 70 to 80 seconds
    values = options(tmp_path / "run", slurm={"interface": "lo", "requests": request})
    config = RunConfig.model_validate({**values, "inputs": [manifest]})
    (tmp_path / "run" / "results").mkdir(parents=True)
    work = FailingScreening(screening_of(config), (), tmp_path / "log", pause=6.0)
    sources = open_sources(config.inputs)
    assignment = Assignment(work, sources, Parts(tmp_path / "run" / "results", FINGERPRINT))
    recorder = Recorder()
    with dask_executor(config) as executor:
        assert process(assignment, executor, 40, recorder) == "completed"
    found = assignment.parts.scan()
    assert found.rows == 2000
    assert not found.untrusted
    assert recorder.warnings == []
    assert rows_of(tmp_path / "run").equals(read_results(undisturbed))
    begun = sum(int(line.split()[1]) for line in (tmp_path / "log").read_text().splitlines())
    assert begun == 2000, "a worker left with work in hand"
    assert len(list((tmp_path / "run" / "logs").glob("worker-*.log"))) >= 4, "a job did more than its time"


def test_a_terminated_run_takes_its_jobs_along_and_is_resumed(
    slurm: Slurm, manifest: Path, undisturbed: Path, tmp_path: Path, structures_begun: Callable[[], int]
) -> None:
    output = tmp_path / "run"
    process = begin(manifest, options(output), tmp_path)
    wait_for_parts(output, 3, process)
    process.send_signal(signal.SIGTERM)
    assert end(process)[0] == 130
    slurm.wait_until_empty()
    before = len(list(output.glob("results/part-*.parquet")))
    assert 3 <= before < 100
    process = begin(manifest, options(output), tmp_path)
    status, text = end(process)
    assert status in (0, 1), text
    assert read_results(output).equals(read_results(undisturbed))
    record = json.loads((output / "run.json").read_text())
    assert [attempt["state"] for attempt in record["attempts"]] == ["interrupted", "completed"]
    assert record["attempts"][1]["rows"] < 2000 - 20 * 2
    twice = structures_begun() - 2000
    FIGURES.info("client terminated: %d structures begun twice", twice)
    assert twice <= 20, "one shard was in hand"


def test_jobs_of_a_killed_client_end_by_themselves(
    slurm: Slurm, manifest: Path, undisturbed: Path, tmp_path: Path, structures_begun: Callable[[], int]
) -> None:
    output = tmp_path / "run"
    process = begin(manifest, options(output), tmp_path)
    wait_for_parts(output, 3, process)
    process.kill()
    process.communicate()
    slurm.wait_until_empty(60)
    status, text = end(begin(manifest, options(output), tmp_path))
    assert status in (0, 1), text
    assert read_results(output).equals(read_results(undisturbed))
    twice = structures_begun() - 2000
    FIGURES.info("client killed: %d structures begun twice", twice)
    assert twice <= 20, "one shard was in hand"


def test_only_tls_is_spoken_beyond_loopback(slurm: Slurm, manifest: Path, tmp_path: Path) -> None:
    """Client and workers on an interface that others can reach: no dashboard, nothing without encryption."""
    interfaces = {
        name: address.address
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    }
    if not interfaces:
        pytest.skip("this machine has no interface but loopback")
    name, own = min(interfaces.items())
    values = options(tmp_path / "run", shard_size=5, slurm={"interface": name, "requests": REQUEST})
    process = begin(manifest, values, tmp_path)
    wait_for_parts(tmp_path / "run", 3, process)
    listening = [
        connection.laddr
        for running in (psutil.Process(process.pid), one_worker())
        for connection in running.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    open_ports = [port for address, port in listening if not address.startswith("127.")]
    assert {address for address, _ in listening} == {"127.0.0.1", own}
    assert len(open_ports) == 2, "the scheduler's and the worker's"
    for port in open_ports:
        with socket.create_connection((own, port), timeout=10) as plain:
            plain.sendall(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert not plain.recv(4096).startswith(b"HTTP"), "something is told without encryption"
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with pytest.raises((ssl.SSLError, ConnectionError)), stranger(context, own, port) as encrypted:
            encrypted.sendall(b"anything")
            assert encrypted.recv(1)
            raise AssertionError("somebody without a certificate was heard")
    assert end(process)[0] in (0, 1)
    slurm.wait_until_empty()


def stranger(context: ssl.SSLContext, host: str, port: int) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection((host, port), timeout=10))


def test_nobody_without_the_certificate_gets_in(slurm: Slurm, manifest: Path, tmp_path: Path) -> None:
    config = RunConfig.model_validate({**options(tmp_path / "run"), "inputs": [manifest]})
    with dask_executor(config) as executor:
        address = executor.address
        assert address.startswith("tls://")
        for target in (address, address.replace("tls://", "tcp://")):
            # a process of its own: what failed to connect leaves threads behind
            script = f"from distributed import Client; Client({target!r}, timeout=5)"
            refused = subprocess.run(
                [sys.executable, "-c", script], capture_output=True, text=True, check=False
            )
            assert refused.returncode == 1
            assert re.search("(?i)certificate|ssl|tls|timed out|reset by peer", refused.stderr), (
                refused.stderr
            )
        paths = {role: str(tmp_path / "run" / ".private" / role) for role in ("key.pem", "certificate.pem")}
        script = (
            "from distributed import Client; from distributed.security import Security; "
            f"print(Client({address!r}, security=Security(require_encryption=True, "
            f"tls_ca_file={paths['certificate.pem']!r}, tls_client_cert={paths['certificate.pem']!r}, "
            f"tls_client_key={paths['key.pem']!r})).scheduler_info()['type'])"
        )
        let_in = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert "Scheduler" in let_in.stdout, let_in.stderr
    slurm.wait_until_empty()


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"partition": "nowhere"}, "no partition 'nowhere' here; there are main, other"),
        ({"walltime": "2-00:00:00"}, "above the limit of partition 'main', 60 minutes"),
        ({"memory": "500GB"}, "500GB of memory asked for; a node of partition 'main' has 6"),
        ({"cores": 64}, "64 cores asked for; a node of partition 'main' has 2"),
        ({"walltime": "00:00:30"}, "less than 60 s"),
        ({"directives": ["--reservation=nobody"]}, "SLURM took no job: .*reservation is invalid"),
    ],
)
def test_what_cannot_run_is_said_at_once(
    slurm: Slurm, manifest: Path, tmp_path: Path, asked: dict[str, Any], complaint: str
) -> None:
    values = options(tmp_path / "run", slurm={"interface": "lo", "requests": {**REQUEST, **asked}})
    status, text = end(begin(manifest, values, tmp_path))
    assert status == 2, text
    assert re.search(complaint, text), text
    assert "Traceback" not in text
    assert slurm.jobs() == []


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"python": "/bin/false"}, "3 jobs have ended before their worker reported: they said nothing"),
        ({"scratch": "/proc/nowhere"}, r"3 jobs have ended .*: '.*/proc/nowhere.*' \(/.*\.log\)"),
    ],
)
def test_jobs_that_never_report_end_the_run(
    wrong: dict[str, str], complaint: str, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_pool, "_ASK_EVERY", 1.0)
    monkeypatch.setattr(executor_module, "_LOOK_EVERY", 1.0)
    values = options(tmp_path / "run", slurm={"interface": "lo", "requests": REQUEST, **wrong})
    config = RunConfig.model_validate({**values, "inputs": [manifest]})
    with pytest.raises(RunError, match=complaint):
        run(config)


def paused_run(
    manifest: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    pause: float,
    disturb: Callable[[Path], None],
    *,
    shard: int = 40,
    first: Callable[[DaskExecutor], None] = lambda _: None,
    **changes: Any,
) -> tuple[Recorder, int]:
    """A run, on two jobs if not said otherwise, that is disturbed when it is under way.

    Returns:
        What was told, and structures begun.
    """
    monkeypatch.setattr(slurm_pool, "_ASK_EVERY", 1.0)
    monkeypatch.setattr(slurm_pool, "_ASK_SELDOM", 4.0)
    monkeypatch.setattr(executor_module, "_LOOK_EVERY", 1.0)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    config = RunConfig.model_validate(
        {**options(folder / "run", **({"jobs": 2} | changes)), "inputs": [manifest]}
    )
    results = folder / "run" / "results"
    results.mkdir(parents=True)
    work = FailingScreening(screening_of(config), (), folder / "log", pause=pause)
    assignment = Assignment(work, open_sources(config.inputs), Parts(results, FINGERPRINT))
    recorder = Recorder()

    def when_under_way() -> None:
        while len(list(results.glob("part-*"))) < 4:
            time.sleep(0.1)
        disturb(folder / "run")

    disturber = threading.Thread(target=when_under_way, daemon=True)
    with dask_executor(config) as executor:
        first(executor)
        disturber.start()
        assert process(assignment, executor, shard, recorder) == "completed"
        disturber.join()
    begun = sum(int(line.split()[1]) for line in (folder / "log").read_text().splitlines())
    return recorder, begun


def one_worker() -> psutil.Process:
    """A pilot job's process."""
    return next(
        process
        for process in psutil.process_iter()
        if "distributed.cli.dask_worker" in " ".join(process.cmdline())
        and process.environ().get("SLURM_CONF") == os.environ["SLURM_CONF"]
    )


def test_a_controller_that_is_away_for_a_while(
    slurm: Slurm, manifest: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disturb(_: Path) -> None:
        slurm.stop_controller()
        one_worker().kill()
        time.sleep(12.0)
        slurm.start_controller()

    recorder, begun = paused_run(manifest, tmp_path, monkeypatch, 1.5, disturb)
    assert rows_of(tmp_path / "run").equals(read_results(undisturbed))
    assert [text for text in recorder.warnings if "Workers go on" in text]
    assert not [text for text in recorder.warnings if SPLIT in text]
    assert len(list((tmp_path / "run" / "logs").glob("worker-*.log"))) == 3, "the lost job was not replaced"
    FIGURES.info("controller away, a worker lost: %d structures begun twice", begun - 2000)
    assert begun - 2000 <= 80
    slurm.wait_until_empty(60)


def test_jobs_refused_in_the_middle_of_a_run(
    slurm: Slurm, manifest: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disturb(_: Path) -> None:
        slurm.ask("scontrol", "update", "PartitionName=main", "State=INACTIVE")
        one_worker().kill()
        time.sleep(8.0)
        slurm.ask("scontrol", "update", "PartitionName=main", "State=UP")

    recorder, begun = paused_run(manifest, tmp_path, monkeypatch, 1.5, disturb)
    assert rows_of(tmp_path / "run").equals(read_results(undisturbed))
    assert [text for text in recorder.warnings if "SLURM took no job" in text]
    FIGURES.info("jobs refused, a worker lost: %d structures begun twice", begun - 2000)
    assert begun - 2000 <= 80
    slurm.wait_until_empty(60)


def test_jobs_refused_while_their_number_adapts(
    slurm: Slurm,
    manifest: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    request = {**REQUEST, "directives": ["--reservation=nobody"]}
    values = options(tmp_path / "no", max_jobs=2, slurm={"interface": "lo", "requests": request})
    with pytest.raises(RunError, match=r"SLURM took no job: .*reservation is invalid"):
        run(RunConfig.model_validate({**values, "inputs": [manifest]}))

    def disturb(_: Path) -> None:
        slurm.ask("scontrol", "update", "PartitionName=main", "State=UP")

    def refuse_more(_: DaskExecutor) -> None:  # what is queued already may start
        slurm.ask("scontrol", "update", "PartitionName=main", "State=DRAIN")

    recorder, begun = paused_run(
        manifest, tmp_path, monkeypatch, 3.0, disturb, shard=100, jobs=1, max_jobs=2, first=refuse_more
    )
    assert begun == 2000
    assert [text for text in recorder.warnings if "SLURM took no job" in text]
    assert "Traceback" not in capfd.readouterr().err
    assert rows_of(tmp_path / "run").equals(read_results(undisturbed))
    slurm.wait_until_empty(60)


def test_the_number_of_jobs_adapts(
    slurm: Slurm, manifest: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards of some seconds: two under way are work for more than one job."""
    running: list[int] = []
    _, begun = paused_run(
        manifest,
        tmp_path,
        monkeypatch,
        6.0,
        lambda _: running.append(len(slurm.jobs("running"))),
        shard=200,
        jobs=1,
        max_jobs=2,
    )
    assert running == [2]
    assert begun == 2000
    assert rows_of(tmp_path / "run").equals(read_results(undisturbed))
    slurm.wait_until_empty(60)
