"""The import rules of the house: data flows one way, Dask and torch stay in their rooms."""

from __future__ import annotations

import ast
import importlib
import json
import os
import pkgutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import goldilocks_batch

PACKAGE = Path(goldilocks_batch.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

#: The rooms in the order of the flow; a module may import from its own room and from those before it.
ROOMS = [
    "core",
    "config",
    "artifacts",
    "structures",
    "kpoints",
    "networks",
    "features",
    "models",
    "results",
    "screening",
    "execution",
    "runs",
    "training",
    "convergence",
    "exports",
    "report",
    "cli",
]

#: Rooms that know the configuration of a run; all others are told what they need.
CONFIGURED = {"config", "execution", "runs", "training", "convergence", "cli"}


def imports(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def room_of(module: str) -> str:
    """The room of a module, given without the package's name; empty for the package itself."""
    return module.split(".")[0] if "." in module or module in ROOMS else ""


def rank(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions: the order that the linter keeps."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_execution_knows_dask(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    if room_of(name_of(path)) != "execution":
        assert not roots & {"dask", "distributed", "dask_jobqueue"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_networks_know_torch(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    room = room_of(name_of(path))
    assert room in ("networks", "models", "training") or "torch" not in roots
    assert room in ("networks", "training") or "torch_geometric" not in roots


def test_every_room_has_its_place_and_says_what_it_is() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ROOMS)
    assert {path.stem for path in PACKAGE.glob("*.py")} <= {"__init__", "__main__"}
    for package in PACKAGE.rglob("__init__.py"):
        said = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8")))
        assert len((said or "").split()) > 5, f"{package} does not say what belongs there"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms_import_nothing_from_rooms_after_them(path: Path) -> None:
    own = room_of(name_of(path).removesuffix(".__init__"))
    if not own:
        return
    for name in imports(path):
        ours, _, module = name.partition(".")
        other = room_of(module) if ours == "goldilocks_batch" else ""
        assert not other or ROOMS.index(other) <= ROOMS.index(own), f"{name_of(path)} imports {name}"


def test_no_modules_import_each_other() -> None:
    names = {name_of(path).removesuffix(".__init__") for path in MODULES}
    wanted = {
        name_of(path).removesuffix(".__init__"): {
            found.removeprefix("goldilocks_batch.") for found in imports(path)
        }
        & names
        for path in MODULES
    }
    order = TopologicalSorter({name: found - {name} for name, found in wanted.items()})
    order.prepare()  # raises CycleError, which names them


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_some_rooms_know_the_configuration_of_a_run(path: Path) -> None:
    named = "goldilocks_batch.config.run" in imports(path)
    assert not named or room_of(name_of(path)) in {*CONFIGURED, "", "__init__"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_can_be_read_at_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize(
    "module", [m.name for m in pkgutil.walk_packages([str(PACKAGE)], "goldilocks_batch.")]
)
def test_public_names_are_sorted_and_exist(module: str) -> None:
    if module.endswith("alignn._convolution"):
        pytest.importorskip("triton", reason="Triton, which GPUs' kernels are written in, is for Linux")
    loaded = importlib.import_module(module)
    names = getattr(loaded, "__all__", None)
    if names is not None:
        assert list(names) == sorted(names, key=rank)
        assert all(hasattr(loaded, name) for name in names)


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["run", "--help"],
        ["inspect", "--help"],
        ["models", "pull", "--help"],
        ["train", "rf", "--help"],
        ["converge", "--help"],
        ["export", "--help"],
        ["report", "--help"],
        ["--version"],
    ],
)
def test_help_is_quick_to_load(command: list[str]) -> None:
    heavy = [
        "torch",
        "huggingface_hub",
        "torch_geometric",
        "dask",
        "distributed",
        "pymatgen",
        "matminer",
        "numba",
        "sklearn",
        "pyarrow",
        "matplotlib",
        "jinja2",
    ]
    code = (
        "import sys, json\n"
        "from goldilocks_batch.cli.app import app\n"
        "try:\n"
        f"    app({command!r})\n"
        "except SystemExit as end:\n"
        "    status = end.code\n"
        f"print(json.dumps([status, [m for m in {heavy!r} if m in sys.modules]]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]


@pytest.mark.parametrize("model", ["mc3d", "baseline"])
def test_models_without_networks_need_no_torch(model: str) -> None:
    code = (
        "import sys; sys.modules['torch_geometric'] = None\n"
        "import numpy as np, goldilocks_batch\n"
        "from goldilocks_batch.structures.crystal import Crystal\n"
        "crystal = Crystal(4.0 * np.eye(3), np.zeros((1, 3)), np.array([29]))\n"
        f"table = goldilocks_batch.predict([crystal], model={model!r})\n"
        "print(table['status'].to_pylist(), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['ok'] False", done.stderr


@pytest.mark.shared
@pytest.mark.parametrize("model", ["rf", "alignn"])
def test_published_models_need_torch_on_a_gpu_alone(model: str, shared: Path) -> None:
    """A second and 200 MB of every process."""
    registry = Path(__file__).resolve().parents[1] / "registry-standins.toml"
    code = (
        "import sys\n"
        "import numpy as np, goldilocks_batch\n"
        "from goldilocks_batch.structures.crystal import Crystal\n"
        "crystal = Crystal(4.0 * np.eye(3), np.array([[0.0] * 3, [0.5] * 3]), np.array([29, 8]))\n"
        f"options = dict(artifacts={str(shared / 'hub')!r}, registry={str(registry)!r})\n"
        f"table = goldilocks_batch.predict([crystal], model={model!r}, **options)\n"
        "print(table['status'].to_pylist(), 'torch' in sys.modules)"
    )
    # no GPU, as in processes that only prepare; without the variable the devices of the machine are looked at
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout.strip() == "['ok'] False", done.stderr


def test_importing_the_package_is_light() -> None:
    code = "import sys, goldilocks_batch; print([m for m in ('torch', 'dask', 'numba') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
