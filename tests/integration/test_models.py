"""The ``models`` commands, and runs that fetch what they need, against a Hub on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hub_server import COMMIT, Fault, Hub, serving  # type: ignore[import-not-found]  # in tests/

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
        (["best"], {}, "no model 'best'"),
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
    for arguments in (["models", "verify"], ["run", examples / "MgO.cif", "-o", tmp_path / "x"]):
        done = command(hub, cache, *arguments, "--artifacts", moved, *registry)
        assert done.returncode in (1, 2)
        assert "forest.safetensors" in done.stderr


@pytest.mark.shared
def test_a_run_fetches_what_it_needs_once(hub: Hub, tmp_path: Path, shared: Path, examples: Path) -> None:
    hub.add_folder(shared / "hub")
    cache = tmp_path / "cache"
    options = ["--registry", REGISTRY, "--workers", "2", "--shard-size", "10"]
    offline = command(hub, cache, "run", examples, *options, "--offline", "-o", tmp_path / "none")
    assert offline.returncode == 2
    assert "models pull rf --to DIR" in offline.stderr
    assert hub.asked == []
    first = command(hub, cache, "run", examples, *options, "-o", tmp_path / "first")
    assert first.returncode == 0, first.stderr
    assert "QRF95.pkl: fetching 4.0 MB" in first.stderr
    asked = [path for method, path, _ in hub.asked if method == "HEAD"]
    assert [path.rsplit("/", 1)[1] for path in asked] == ["is_metal.ckpt", "atom_init.json", "QRF95.pkl"]
    before = len(hub.asked)
    second = command(hub, cache, "run", examples, *options, "-o", tmp_path / "second", HF_HUB_OFFLINE="1")
    assert second.returncode == 0, second.stderr
    assert len(hub.asked) == before
    named = command(
        hub,
        tmp_path / "no",
        "run",
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
