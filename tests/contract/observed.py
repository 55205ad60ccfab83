"""The contract of the files: small runs, trainings and downloads, and what lies on disk after them.

Commands are called through the command line's ``app`` in this process, with a few structures, by the serial
executor.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from typer.testing import CliRunner

import goldilocks_batch
from goldilocks_batch.cli.app import app
from tests.contract import shapes
from tests.hub_server import COMMIT, serving
from tests.training_data import write_labelled

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "structures"
STANDINS = ROOT / "tests" / "registry-standins.toml"
#: Examples that are screened; graphene has an axis that is not periodic, so one row is flagged.
NAMES = ("C-graphene.xyz", "NaCl.cif", "Si-diamond.cif")

_TRAINING = """\
name: small
feature_schema: comp_lattice.v1
forest: {n_estimators: 2}
calibration: {kind: cross, folds: 2}
validation_folds: 2
"""
_SLURM = """\
executor: slurm
slurm:
  requests: {partition: compute, account: physics, walltime: "02:00:00", cores: 4, memory: 8GB}
"""
_REGISTRY = f"""\
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
files = {{ atoms = "atoms" }}
[models.nets.levels."0.95"]
files = {{ lower = "nets", median = "nets", upper = "nets" }}
"""

#: Of a run's record these are times, digests, places and versions: the types are frozen, not the values.
_VOLATILE = re.compile(
    r"\.(started|finished|seconds(\..*)?|peak_memory|fingerprint|digest|path|version|output"
    r"|(shared_)?versions\..*|kpoints\..*|config\.inputs)$"
)
#: Of a model's record these say what it is, whatever it was trained on.
_KINDS = shapes.ending(
    "contract", "feature_schema", "format", "kind", "lock_version", "method", "record_schema_version", "role",
    "scale", "schema", "task", "unit", "units",
)  # fmt: skip


def _lasting(place: str) -> bool:
    return not _VOLATILE.search(place)


class Workplace:
    """A folder in which commands are run, each once, when something that it leaves is asked for.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"

    def command(self, *arguments: object) -> Any:
        """Call a command in this process."""
        environment = {"GOLDILOCKS_CACHE": str(self.cache), "COLUMNS": "400"}
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)

    def succeed(self, *arguments: object) -> None:
        """Call a command that has to work.

        Raises:
            RuntimeError: it did not.
        """
        done = self.command(*arguments)
        if done.exit_code:
            raise RuntimeError(f"{arguments} ended with {done.exit_code}: {done.output}") from done.exception

    @cached_property
    def structures(self) -> Path:
        """A folder of three sound structures."""
        folder = self.folder / "structures"
        folder.mkdir()
        for name in NAMES:
            shutil.copy(EXAMPLES / name, folder / name)
        return folder

    @cached_property
    def broken(self) -> Path:
        """A folder of two sound structures and a broken one."""
        folder = self.folder / "broken"
        shutil.copytree(self.structures, folder)
        (folder / NAMES[1]).write_text("not a crystal\n")
        return folder

    @cached_property
    def finished(self) -> Path:
        """The folder of a run of three structures in two parts."""
        options = ("--model", "baseline", "--executor", "serial", "--shard-size", 2)
        self.succeed("run", self.structures, "-o", self.folder / "run", *options)
        return self.folder / "run"

    @cached_property
    def trained(self) -> Path:
        """A folder with ``model``, ``report`` and ``features``, the cache of features."""
        folder = self.folder / "training"
        folder.mkdir()
        (folder / "train.yaml").write_text(_TRAINING)
        labels = write_labelled(folder / "labels.parquet", 40)
        places = (
            "-o",
            folder / "model",
            "--report",
            folder / "report",
            "--cache",
            folder / "features",
            "--executor",
            "serial",
        )
        self.succeed("train", "rf", labels, "--target", "k_dist", "-c", folder / "train.yaml", *places)
        return folder


def columns(place: Workplace) -> object:
    """Columns of the result table: type, nullability and metadata, and their order."""
    (part, *_) = sorted(place.finished.glob("results/*.parquet"))
    schema = pq.read_schema(part)
    described = {
        field.name: {
            "type": str(field.type),
            "nullable": field.nullable,
            "metadata": {key.decode(): value.decode() for key, value in (field.metadata or {}).items()},
        }
        for field in schema
    }
    others = {
        "predict": goldilocks_batch.predict([], model="baseline").schema,
        "read_results": goldilocks_batch.read_results(place.finished).schema,
    }
    metadata = {name: sorted(key.decode() for key in other.metadata or {}) for name, other in others.items()}
    same = {name: other.equals(schema) for name, other in others.items()}  # the footer apart
    return {"order": schema.names, "columns": described, "same columns": same, "schema metadata": metadata}


def parquet(place: Workplace) -> object:
    """Columns and footers of the other tables: parts, whole and compacted, manifests, failures."""
    keep = shapes.ending("goldilocks.schema", "goldilocks.rows", "goldilocks_batch.manifest")
    whole = pq.read_schema(next(place.finished.glob("results/*")))
    parts = {part.name: shapes.parquet_file(part, keep) for part in place.finished.glob("results/*")}
    compacted = place.folder / "compacted"
    shutil.copytree(place.finished, compacted)
    place.succeed("compact", compacted)
    parts |= {
        f"compacted {path.name}": shapes.parquet_file(path, keep) for path in compacted.glob("results/*")
    }
    for part in parts.values():
        del part["columns"]  # those of columns.json
    joined = pq.read_schema(next(compacted.glob("results/*")))
    same = {
        "columns": joined.equals(whole),
        "with metadata": [field.metadata for field in joined] == [field.metadata for field in whole],
    }
    place.command("manifest", place.broken, "-o", place.folder / "m.parquet")
    tables = {path.name: shapes.parquet_file(path, keep) for path in place.folder.glob("m.*parquet")}
    return {"result parts": parts, "compacted as others": same, "manifest": tables}


def run_folder(place: Workplace) -> object:
    """Files of a finished run, and the keys of its record."""
    found = dict.fromkeys(shapes.files_in(place.finished), "<file>")
    return found | {"run.json": shapes.json_file(place.finished / "run.json", _lasting)}


def exports(place: Workplace) -> object:
    """Files and keys of what ``export`` writes; what libraries make of structures is theirs."""
    found: dict[str, object] = {}
    for form in ("vasp", "qe"):
        folder = place.folder / f"export-{form}"
        place.succeed("export", place.finished, "--to", form, "--cell", "primitive", "-o", folder)
        found[form] = {
            "files": sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()),
            "kpoints.csv": (folder / "kpoints.csv").read_text().splitlines()[0].split(","),
            "export.json": sorted(json.loads((folder / "export.json").read_text())),
        }
    for form in ("aiida", "atomate2", "csv", "ase"):
        path = place.folder / f"export.{form}"
        place.succeed("export", place.finished, "--to", form, "--cell", "primitive", "-o", path)
    found["csv"] = (place.folder / "export.csv").read_text().splitlines()[0].split(",")
    line = json.loads((place.folder / "export.aiida").read_text().splitlines()[-1])
    found["aiida"] = shapes.shape(line, lambda where: where in (".bound", ".cell", ".id", ".kpoints_mesh"))
    found["atomate2"] = sorted(json.loads((place.folder / "export.atomate2").read_text().splitlines()[-1]))
    frame = (place.folder / "export.ase").read_text().splitlines()[1]
    found["ase"] = sorted(re.findall(r"(\w+)=", frame))
    return found


def model_folders(place: Workplace) -> object:
    """Files and records of a trained model and of the one in the package, and of a judgement."""
    package = Path(goldilocks_batch.__file__).parent
    (starter,) = (path.parent for path in package.rglob("mc3d/model.json"))
    found = {
        "mc3d": shapes.folder(starter, _KINDS),
        "trained": shapes.folder(place.trained / "model", _KINDS),
        "report": shapes.folder(place.trained / "report", _KINDS),
    }
    for name in ("mc3d", "trained"):
        record = found[name]["model.json"]
        record["evaluation"] = sorted(record["evaluation"])  # what is inside is in the report, too
    found["mc3d"]["manifest.json"] = json.loads((starter / "manifest.json").read_text())
    return found


def cache(place: Workplace) -> object:
    """Lock files and layout of the cache after a download, and of the cache of features."""
    registry, downloads = place.folder / "registry.toml", place.folder / "downloads"
    registry.write_text(_REGISTRY)
    with serving() as hub:
        hub.files = {"org/nets/q50/a.ckpt": b"a", "org/nets/q50/b.ckpt": b"b", "org/raw/atoms.json": b"[]"}
        # the console script, in a process of its own: the Hub's client reads its environment at import
        environment = {**os.environ, **hub.environment, "GOLDILOCKS_CACHE": str(downloads)}
        script = str(Path(sys.executable).with_name("goldilocks-batch"))
        command = [script, "models", "pull", "nets", "--registry", str(registry)]
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=ROOT)
    downloaded = shapes.folder(downloads, shapes.ending("lock_version", "names", "revision", "sha256"))
    return {"models": downloaded, "features": shapes.folder(place.trained / "features", _KINDS)}


def schema_output(place: Workplace) -> object:
    """What ``schema`` prints, a line each, without the padding."""
    lines = place.command("schema").stdout.splitlines()
    return [" | ".join(re.split(r"\s{2,}", line.strip())) for line in lines if line.strip()]


def flags(place: Workplace) -> object:
    """Flags with their meanings, as ``schema`` lists them."""
    lines = place.command("schema").stdout.splitlines()
    first = next(index for index, line in enumerate(lines) if line.strip() == "flags") + 1
    return dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in lines[first:] if line.strip())


def exits(place: Workplace) -> object:
    """Exit codes, and the error code that is printed where there is one."""
    options = ("--model", "baseline", "--executor", "serial", "-o")
    done, failing, elsewhere = (place.folder / name for name in ("run-again", "run-broken", "not-run"))
    shutil.copytree(place.finished, done)
    lines = {
        "run, all rows fine": ("run", place.structures, *options, done),
        "run, one structure is broken": ("run", place.broken, *options, failing),
        "run, no such input": ("run", place.folder / "nowhere", *options, elsewhere),
        "run, an option's value is wrong": (
            "run",
            place.structures,
            *options,
            elsewhere,
            "--confidence",
            "2",
        ),
        "run, no such option": ("run", place.structures, *options, elsewhere, "--fast"),
        "run, no such model": ("run", place.structures, *options, elsewhere, "--model", "best"),
        "run, the folder is another run's": ("run", place.broken, *options, done),
        "inspect, the structure is broken": ("inspect", place.broken / NAMES[1], "--model", "baseline"),
        "manifest, one structure is broken": ("manifest", place.broken, "-o", place.folder / "m2.parquet"),
        "models verify": ("models", "verify", "mc3d"),
        "status": ("status", done),
        "collect": ("collect", done),
    }
    found = {}
    for what, arguments in lines.items():
        result = place.command(*arguments)
        code = re.search(r"^error: .*\[([A-Z_]+)\]$", result.stderr, re.MULTILINE)
        found[what] = f"{result.exit_code} {code[1]}" if code else str(result.exit_code)
    return found


def job_script(place: Workplace) -> object:
    """The script of a job array, whose command other versions of the package have to understand."""
    config = place.folder / "slurm.yaml"
    config.write_text(_SLURM)
    options = ("--config", config, "--model", "baseline", "--shard-size", "1", "--jobs", "2", "--dry-run")
    done = place.command("array", place.structures, "-o", place.folder / "array", *options)
    script = done.stdout[done.stdout.index("#!") :].replace(str(place.folder), "<folder>")
    script = re.sub(r"exec \S+ -m", "exec <python> -m", script)
    return [re.sub(r"(?<=goldilocks-)[0-9a-f]{8,}", "<digest>", line) for line in script.splitlines() if line]


def features(place: Workplace, hub: Path) -> object:
    """The table that ``featurize`` writes."""
    places = ("--artifacts", hub, "--registry", STANDINS, "--executor", "serial")
    output = place.folder / "features.parquet"
    place.succeed("featurize", place.structures / NAMES[2], "-o", output, *places)
    return shapes.parquet_file(output, shapes.ending("goldilocks.schema"))


def conversion(place: Workplace, hub: Path) -> object:
    """Layout and records of a published forest that was turned into arrays."""
    places = ("--artifacts", hub, "--registry", STANDINS)
    place.succeed("models", "convert", "rf", "--confidence", 0.95, *places)
    return shapes.folder(place.cache / "converted", _KINDS)
