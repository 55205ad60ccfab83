"""The ``models`` commands, and runs that fetch what they need, against a Hub on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from goldilocks_batch import read_results
from goldilocks_batch.artifacts.trained import shipped_model
from tests.hub_server import COMMIT, Fault, Hub, serving

pytestmark = pytest.mark.slow

REGISTRY = Path(__file__).resolve().parents[1] / "registry-standins.toml"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as found:
        yield found


def command(
    hub: Hub, cache: Path, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "goldilocks_batch.cli.app", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **hub.environment, "GOLDILOCKS_CACHE": str(cache), **environment},
    )


def small_registry(tmp_path: Path) -> Path:
    """A model of an unpinned ensemble and of GitHub's atoms."""
    path = tmp_path / "registry.toml"
    path.write_text(f"""
[files.atoms]
host = "github"
repository = "org/raw"
path = "atoms.json"
revision = "{COMMIT}"
[folders.nets]
repository = "org/nets"
path = "q50"
[models.nets]
kind = "alignn"
title = "networks"
licence = "CC0"
files = {{ atoms = "atoms" }}
[models.nets.levels."0.95"]
files = {{ lower = "nets", median = "nets", upper = "nets" }}
[models.nets.levels."0.90"]
files = {{ lower = "nets", median = "nets", upper = "nets" }}
""")
    return path


def test_pull_verify_show_list(hub: Hub, tmp_path: Path) -> None:
    hub.files = {"org/nets/q50/a.ckpt": b"a", "org/nets/q50/b.ckpt": b"b", "org/raw/atoms.json": b"[]"}
    options = ["--registry", small_registry(tmp_path)]
    cache = tmp_path / "cache"
    missing = command(hub, cache, "models", "verify", "nets", *options)
    assert missing.returncode == 1
    assert "not here" in missing.stdout
    pulled = command(hub, cache, "models", "pull", "nets", *options)
    assert pulled.returncode == 0, pulled.stderr
    assert "org/nets/q50/b.ckpt: fetching 0.0 MB" in pulled.stderr
    asked = len(hub.asked)
    again = command(hub, cache, "models", "pull", "all", *options)
    assert again.returncode == 0
    assert "fetching" not in again.stderr
    listed = command(hub, cache, "models", "list", *options).stdout
    assert [line.split()[:4] for line in listed.splitlines() if "nets" in line] == [
        ["nets", "alignn", "0.95", "verified"],
        ["nets", "alignn", "0.90", "verified"],
    ]
    shown = command(hub, cache, "models", "show", "nets", *options).stdout
    assert "org/nets/q50/*.ckpt  (huggingface, newest revision, pinned at the first fetch)" in shown
    assert "CC0" in shown
    assert len(hub.asked) == asked  # all of these look at files alone
    (cache / "org/nets/q50/a.ckpt").write_bytes(b"z")
    for arguments in (["verify"], ["verify", "nets", "--confidence", "0.90"]):
        altered = command(hub, cache, "models", *arguments, *options)
        assert altered.returncode == 1
        assert "a.ckpt has sha256" in altered.stderr
    mended = command(hub, cache, "models", "pull", "nets", *options)
    assert mended.returncode == 0
    assert command(hub, cache, "models", "verify", *options).returncode == 0


def test_what_cannot_be_pulled_says_why(hub: Hub, tmp_path: Path) -> None:
    options = ["--registry", small_registry(tmp_path)]
    for arguments, environment, words in (
        (["nets"], {}, "HTTP 404, not found"),
        (["nets"], {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        (["nets"], {}, "--artifacts DIR. --model mc3d"),
        (["best"], {}, "no model 'best'; there are: mc3d, nets; or name the folder"),
        (["./best"], {}, "there is no folder ./best"),
        (["nets", "--confidence", "0.5"], {}, "it has 0.90, 0.95"),
    ):
        done = command(hub, tmp_path / "cache", "models", "pull", *arguments, *options, **environment)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.shared
def test_a_pulled_folder_serves_a_machine_without_network(
    hub: Hub, tmp_path: Path, shared: Path, examples: Path
) -> None:
    hub.add_folder(shared / "hub")
    registry = ["--registry", REGISTRY]
    folder, cache = tmp_path / "models", tmp_path / "cache"
    hub.faults = [Fault("/resolve/", times=1, status=503)]
    pulled = command(hub, cache, "models", "pull", "all", "--confidence", "0.95", "--to", folder, *registry)
    assert pulled.returncode == 0, pulled.stderr
    assert not cache.exists()
    converted = command(
        hub,
        cache,
        "models",
        "convert",
        "--confidence",
        "0.95",
        "--artifacts",
        folder,
        "--to",
        folder,
        *registry,
    )
    assert converted.returncode == 0, converted.stderr
    asked = len(hub.asked)
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    options = ["--artifacts", moved, "--offline", *registry, "--executor", "serial"]
    for model in ("rf", "alignn"):
        done = command(hub, cache, "run", examples / "MgO.cif", *options, "-m", model, "-o", tmp_path / model)
        assert done.returncode == 0, done.stderr
    assert len(hub.asked) == asked
    assert not cache.exists()  # the conversion came along
    assert command(hub, cache, "models", "verify", "--artifacts", moved, *registry).returncode == 0
    (arrays,) = moved.glob("converted/*/*/forest.safetensors")
    arrays.write_bytes(arrays.read_bytes()[:-1])
    for arguments in (["models", "verify"], ["run", "-m", "rf", examples / "MgO.cif", "-o", tmp_path / "x"]):
        done = command(hub, cache, *arguments, "--artifacts", moved, *registry)
        assert done.returncode in (1, 2)
        assert "forest.safetensors" in done.stderr


@pytest.mark.shared
def test_a_run_fetches_what_it_needs_once(hub: Hub, tmp_path: Path, shared: Path, examples: Path) -> None:
    hub.add_folder(shared / "hub")
    cache = tmp_path / "cache"
    options = ["--registry", REGISTRY, "--workers", "2", "--shard-size", "10"]
    offline = command(hub, cache, "run", "-m", "rf", examples, *options, "--offline", "-o", tmp_path / "none")
    assert offline.returncode == 2
    assert "models pull rf --to DIR" in offline.stderr
    assert hub.asked == []
    first = command(hub, cache, "run", "-m", "rf", examples, *options, "-o", tmp_path / "first")
    assert first.returncode == 0, first.stderr
    assert "QRF95.pkl: fetching 4.0 MB" in first.stderr
    asked = [path for method, path, _ in hub.asked if method == "HEAD"]
    assert [path.rsplit("/", 1)[1] for path in asked] == ["is_metal.ckpt", "atom_init.json", "QRF95.pkl"]
    before = len(hub.asked)
    sent = [path for method, path, _ in hub.asked if method == "GET" and not path.startswith("/api/")]
    assert len(sent) == len(asked)  # each file once, to the client: workers asked for nothing
    second = command(
        hub, cache, "run", "-m", "rf", examples, *options, "-o", tmp_path / "second", HF_HUB_OFFLINE="1"
    )
    assert second.returncode == 0, second.stderr
    assert len(hub.asked) == before
    named = command(
        hub,
        tmp_path / "no",
        "run",
        "-m",
        "rf",
        examples,
        "--artifacts",
        shared / "hub",
        *options[:2],
        "--executor",
        "serial",
        "-o",
        tmp_path / "third",
    )
    assert named.returncode == 0, named.stderr
    names = ("first", "second", "third")
    tables = [pq.read_table(tmp_path / name / "results").sort_by("row") for name in names]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def everything_in(folder: Path) -> dict[str, int]:
    """When each file was last changed."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.shared
def test_tasks_of_an_array_use_what_the_client_found(
    hub: Hub, tmp_path: Path, shared: Path, examples: Path
) -> None:
    hub.add_folder(shared / "hub")
    cache, output = tmp_path / "cache", tmp_path / "run"
    options = ["--registry", REGISTRY, "--executor", "serial", "--shard-size", "20"]
    done = command(hub, cache, "run", "-m", "rf", examples, *options, "-o", output)
    assert done.returncode == 0, done.stderr
    table = read_results(output)
    for path in [*output.glob("results/part-*"), *cache.rglob(".*.mutex")]:
        path.unlink()
    before, asked = everything_in(cache), len(hub.asked)

    def task(number: int) -> subprocess.CompletedProcess[str]:
        values = {"ID": str(number), "MIN": "0", "COUNT": "2"}
        environment = {f"SLURM_ARRAY_TASK_{name}": value for name, value in values.items()}
        return command(hub, tmp_path / "other cache", "array-task", output, **environment)

    for number in (0, 1):
        assert task(number).returncode == 0
    assert read_results(output).equals(table)
    assert len(hub.asked) == asked
    assert everything_in(cache) == before
    assert not (tmp_path / "other cache").exists()
    (arrays,) = cache.glob("converted/*/*/forest.safetensors")
    whole = arrays.read_bytes()
    for data, code in ((whole[:-1] + b"?", "ARTIFACT_DIGEST"), (None, "ARTIFACT_MISSING")):
        arrays.unlink()
        if data is not None:
            arrays.write_bytes(data)
        else:
            (cache / "STFC-SCD/kpoints-goldilocks-QRF/QRF95.pkl").unlink()
        refused = task(0)
        assert refused.returncode == 2
        assert code in refused.stderr
        assert "forest.safetensors" in refused.stderr
    assert len(hub.asked) == asked


def test_a_task_of_a_run_whose_record_names_no_files_is_refused(
    hub: Hub, tmp_path: Path, examples: Path
) -> None:
    output = tmp_path / "run"
    command(
        hub, tmp_path, "run", examples / "MgO.cif", "-m", "baseline", "--executor", "serial", "-o", output
    )
    record = json.loads((output / "run.json").read_text())
    del record["resolved"]
    (output / "run.json").write_text(json.dumps(record))
    numbers = {f"SLURM_ARRAY_TASK_{name}": "1" for name in ("ID", "MIN", "COUNT")}
    refused = command(hub, tmp_path, "array-task", output, **numbers)
    assert refused.returncode == 2
    assert "submit the run again" in refused.stderr


@pytest.mark.shared
def test_a_plan_fetches_nothing_and_says_what_would_be(
    hub: Hub, tmp_path: Path, shared: Path, examples: Path
) -> None:
    hub.add_folder(shared / "hub")
    cache, output = tmp_path / "cache", tmp_path / "run"
    arguments = ["run", "-m", "rf", examples, "--registry", REGISTRY, "--executor", "serial", "-o", output]
    planned = command(hub, cache, *arguments, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "150 rows, 150 to do" in planned.stdout
    for name in ("is_metal.ckpt", "atom_init.json", "QRF95.pkl"):
        assert name in planned.stdout
    assert hub.asked == []
    assert not cache.exists()
    for offline in (
        command(hub, cache, *arguments, "--dry-run", "--offline"),
        command(hub, cache, *arguments, "--dry-run", HF_HUB_OFFLINE="1"),
    ):
        assert offline.returncode == 2
        assert "ARTIFACT_MISSING" in offline.stderr
    assert not cache.exists()
    assert command(hub, cache, *arguments).returncode == 0
    for used in (cache, tmp_path / "no cache"):  # digests of the registry are enough to know the run again
        assert "150 rows, 0 to do" in command(hub, used, *arguments, "--dry-run").stdout


@pytest.mark.shared
def test_a_conversion_does_without_its_pickle(hub: Hub, tmp_path: Path, shared: Path, examples: Path) -> None:
    folder, network = tmp_path / "models", "JunwenYin/metallicity-goldilocks-CGCNN"
    shutil.copytree(shared / "hub" / network, folder / network)
    registry, here = ["--registry", REGISTRY], ["--artifacts", folder, "--registry", REGISTRY]
    options = ["--confidence", "0.95", *registry, "--artifacts", shared / "hub"]
    assert command(hub, tmp_path, "models", "convert", *options, "--to", folder).returncode == 0
    tables: list[Any] = []
    for artifacts in (folder, shared / "hub"):
        options = ["--offline", *registry, "--executor", "serial", "--artifacts", artifacts]
        output = tmp_path / f"run{len(tables)}"
        done = command(hub, tmp_path, "run", "-m", "rf", examples / "MgO.cif", *options, "-o", output)
        assert done.returncode == 0, done.stderr
        tables.append(read_results(output))
    assert tables[0].equals(tables[1])
    arguments = ["models", "verify", "rf", "--confidence", "0.95", *here]
    assert command(hub, tmp_path / "none", *arguments).returncode == 0
    (converted,) = folder.glob("converted/*/*")
    shown = command(hub, tmp_path, "models", "show", converted)
    assert shown.returncode == 0, shown.stderr
    for words in ("QRF95.pkl", network, "0.05, 0.5, 0.95"):
        assert words in shown.stdout
    refused = command(hub, tmp_path, "run", examples, "--model", converted, "-o", tmp_path / "x")
    assert refused.returncode == 2
    assert f"use --model rf --artifacts {folder}" in refused.stderr
    (converted / "forest.safetensors").write_bytes(b"other")
    assert command(hub, tmp_path / "none", *arguments).returncode == 1
    assert command(hub, tmp_path / "none", "models", "verify", converted).returncode == 1


def test_models_that_have_all_they_need(hub: Hub, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(shipped_model("mc3d"), own)
    for model in ("mc3d", own):
        for arguments, words in ((["verify"], "verified"), (["pull"], "nothing"), (["convert"], "nothing")):
            done = command(hub, tmp_path, "models", *arguments, model)
            assert done.returncode == 0, done.stderr
            assert words in done.stdout
    (own / "trees.safetensors").write_bytes(b"other")
    altered = command(hub, tmp_path, "models", "verify", own)
    assert altered.returncode == 1
    assert "trees.safetensors has 5 bytes" in altered.stderr
    for arguments in (["list"], ["verify"], ["show", "rf"]):
        refused = command(hub, tmp_path, "models", *arguments, "--artifacts", tmp_path / "nowhere")
        assert refused.returncode == 2
        assert "is no folder" in refused.stderr
    assert hub.asked == []


@pytest.mark.shared
def test_files_that_nobody_pins_are_named(hub: Hub, tmp_path: Path, shared: Path, examples: Path) -> None:
    loose = tmp_path / "loose.toml"
    loose.write_text(re.sub(r"(?m)^sha256 = .*$", "", REGISTRY.read_text()))
    options = ["--artifacts", shared / "hub", "--offline", "--executor", "serial"]
    done = {}
    for name, registry in (("loose", loose), ("pinned", REGISTRY)):
        arguments = [
            "run",
            "-m",
            "rf",
            examples / "MgO.cif",
            *options,
            "--registry",
            registry,
            "-o",
            tmp_path / name,
        ]
        done[name] = command(hub, tmp_path / "cache", *arguments)
        assert done[name].returncode == 0, done[name].stderr
    for said in (done["loose"].stderr, done["loose"].stdout):
        assert "Not pinned by the registry" in said
        for words in ("QRF95.pkl", "is_metal.ckpt", "models pull"):
            assert words in said
    assert "Not pinned" not in done["pinned"].stdout + done["pinned"].stderr


@pytest.mark.shared
def test_pull_and_doctor_say_which_place_answered(hub: Hub, shared: Path, tmp_path: Path) -> None:
    names = {
        "QRF95.pkl": "STFC-SCD/kpoints-goldilocks-QRF",
        "is_metal.ckpt": "JunwenYin/metallicity-goldilocks-CGCNN",
        "atom_init.json": "JunwenYin/metallicity-goldilocks-CGCNN",
    }
    registry = tmp_path / "registry.toml"
    text = REGISTRY.read_text(encoding="utf-8")
    for name, repository in names.items():
        hub.files[f"PSDI/q3bye-wep37/{name}"] = (shared / "hub" / repository / name).read_bytes()
        text = text.replace(f'path = "{name}"\n', f'path = "{name}"\nmirrors = ["psdi:q3bye-wep37/{name}"]\n')
    registry.write_text(text, encoding="utf-8")
    cache = tmp_path / "cache"
    asked = command(hub, cache, "doctor", "--model", "rf", "--registry", registry, "-o", tmp_path / "out")
    assert "QRF95.pkl (2 places)" in asked.stdout
    done = command(hub, cache, "models", "pull", "rf", "--confidence", "0.95", "--registry", registry)
    assert done.returncode == 0, done.stderr
    place = hub.url.removeprefix("http://")
    assert "fetched from the next place" in done.stderr
    assert f"from {place}" in done.stderr
    assert not hub.files.keys() & {f"{repository}/{name}" for name, repository in names.items()}
    told = command(
        hub, cache, "doctor", "--model", "rf", "--offline", "--registry", registry, "-o", tmp_path / "out"
    )
    assert f"QRF95.pkl came from {place}" in told.stdout
