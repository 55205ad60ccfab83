"""The wheel and the source distribution: what is in them, and that they work where they are installed.

``GOLDILOCKS_DIST`` names a folder that holds both already; otherwise they are built.
"""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TORCH_CPU = "https://download.pytorch.org/whl/cpu"

#: Files of the repository that are for its keepers, not for those who build from a source distribution.
KEPT_BACK = (".ci/", ".github/", ".gitignore", ".pre-commit-config.yaml")


def ran(*command: object, **options: object) -> str:
    """Standard output of a command that has to succeed."""
    done = subprocess.run(  # type: ignore[call-overload]
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return str(done.stdout)


def tracked() -> set[str]:
    """What git keeps, links left out."""
    names = ran("git", "ls-files", cwd=ROOT).splitlines()
    if not names:
        pytest.skip("not a clone: there is no list of files to compare with")
    return {name for name in names if not (ROOT / name).is_symlink()}


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source distribution."""
    folder = Path(os.environ.get("GOLDILOCKS_DIST") or tmp_path_factory.mktemp("dist")).absolute()
    if not os.environ.get("GOLDILOCKS_DIST"):
        ran(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, source


@pytest.fixture(scope="session")
def wheel(distributions: tuple[Path, Path]) -> zipfile.ZipFile:
    return zipfile.ZipFile(distributions[0])


@pytest.fixture(scope="session")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_string(wheel.read(name).decode("utf-8"))


def test_a_wheel_has_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = {name for name in tracked() if name.startswith("goldilocks_batch/")}
    configs = {name for name in tracked() if name.startswith("configs/")}
    assert names == package | {
        name.replace("configs/", "goldilocks_batch/config/examples/") for name in configs
    }
    for name in configs:
        inside = wheel.read(name.replace("configs/", "goldilocks_batch/config/examples/"))
        assert inside == (ROOT / name).read_bytes()


def test_a_wheel_is_small(distributions: tuple[Path, Path]) -> None:
    assert distributions[0].stat().st_size < 8_000_000


def test_a_source_distribution_has_everything_that_git_has(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[1]) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    wanted = {name for name in tracked() if not name.startswith(KEPT_BACK)}
    assert wanted - names == set()
    assert not [name for name in names if name.startswith(KEPT_BACK)]


def test_the_metadata_is_what_an_index_shows(metadata: Message) -> None:
    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"
    classifiers = metadata.get_all("Classifier", [])
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} <= set(classifiers)
    urls = dict(entry.split(", ") for entry in metadata.get_all("Project-URL", []))
    assert {"Documentation", "Source", "Issues", "Changelog"} <= set(urls)
    needs = {
        entry.split(">")[0] for entry in metadata.get_all("Requires-Dist", []) if "extra ==" not in entry
    }
    assert {"torch", "torch-geometric"} <= needs
    assert "pandas" not in needs
    assert metadata.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.nightly
def test_the_version_is_the_tags_and_a_tree_without_git_builds(tmp_path: Path) -> None:
    clone, bare = tmp_path / "clone", tmp_path / "bare"
    ran("git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), clone)
    shutil.copytree(clone, bare, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    ran("git", "tag", "v9.8.7", cwd=clone)
    ran(sys.executable, "-m", "build", "--sdist", "--outdir", tmp_path, clone)
    assert (tmp_path / "goldilocks_batch-9.8.7.tar.gz").exists()
    ran(sys.executable, "-m", "build", "--sdist", "--outdir", tmp_path, bare)
    assert (tmp_path / "goldilocks_batch-0.1.0.dev0.tar.gz").exists()


def alone() -> dict[str, str]:
    """The environment's variables without those that let Python find packages elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the CPU build of torch where that is to be had."""
    folder = tmp_path_factory.mktemp("environment")
    ran(sys.executable, "-m", "venv", folder)
    pip = [folder / "bin" / "pip", "install", "--constraint", ROOT / "constraints.txt", "--retries", "1"]
    cpu = [*pip, "--no-deps", "--index-url", os.environ.get("TORCH_CPU", TORCH_CPU), "torch"]
    subprocess.run([str(word) for word in cpu], capture_output=True, check=False, env=alone())
    return folder


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["wheel", "source"])
def test_what_is_installed_screens_the_example(
    kind: str, distributions: tuple[Path, Path], wheel: zipfile.ZipFile, environment: Path, tmp_path: Path
) -> None:
    binaries = environment / "bin"
    chosen = distributions[0 if kind == "wheel" else 1]
    ran(binaries / "pip", "uninstall", "--yes", "goldilocks-batch", env=alone())
    ran(binaries / "pip", "install", "--constraint", ROOT / "constraints.txt", chosen, env=alone())
    variables = {**alone(), "HF_HUB_OFFLINE": "1", "GOLDILOCKS_CACHE": str(tmp_path / "cache")}
    command = [binaries / "goldilocks-batch", "run", ROOT / "examples" / "structures", "--model", "baseline"]
    said = ran(*command, "--output", "screening", cwd=tmp_path, env=variables)
    crystals = len(list((ROOT / "examples" / "structures").iterdir()))
    assert f"{crystals} of {crystals} rows, {crystals} ok, 0 failed" in said
    shown = ran(binaries / "goldilocks-batch", "config", "example", "local", cwd=tmp_path, env=variables)
    assert shown == wheel.read("goldilocks_batch/config/examples/local.yaml").decode("utf-8")
    where = [binaries / "python", "-c", "import goldilocks_batch; print(goldilocks_batch.__file__)"]
    assert Path(ran(*where, cwd=tmp_path, env=variables).strip()).is_relative_to(environment)
