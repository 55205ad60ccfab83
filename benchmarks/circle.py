"""From a screening to a model of one's own, with real studies: what 40 labels change, and what a study costs.

    python -m benchmarks.circle mc3d.parquet --pseudo pseudo/ -o circle/
    python -m benchmarks.circle mc3d.parquet --pseudo pseudo/ -o circle/ --plain 50

``mc3d.parquet`` holds CIF texts (columns ``id`` and ``cif``), ``pseudo/`` a UPF file for each element of
``CUTOFFS``.  Crystals of these elements and of few sites are split at random: some are kept apart, the
others are screened with the model in the package, and ``suggest`` picks among them.  Both are studied by
``converge`` with Quantum ESPRESSO; models are calibrated and trained on the suggested ones, and judged on
those kept apart.  Every step is the command that users have, and goes on where it was interrupted.

``--plain N`` then does N studies once more, each followed by the same meshes as a plain loop over ``pw.x``
computes them, every one from scratch and in the cell as supplied, and compares k-points × diagonalisations,
time and labels.  At last it does all N by one command, side by side, and compares the time that a user waits.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from goldilocks_batch.convergence.tail import first_converged
from goldilocks_batch.core.names import lone_name
from goldilocks_batch.structures.crystal import SYMBOLS
from goldilocks_batch.structures.read import load
from goldilocks_batch.structures.sources.sourceset import open_sources

#: Cutoffs, Ry, of PseudoDojo's norm-conserving pseudopotentials, at which energies of different meshes differ
#: by less than 1 meV per atom for their plane waves; total energies are not converged.
CUTOFFS: dict[str, float] = dict.fromkeys(("Al", "Si", "As"), 25.0)
CUTOFFS |= dict.fromkeys(("C", "O", "Ga"), 50.0) | dict.fromkeys(("Mg", "Na", "Cl"), 45.0) | {"Cu": 90.0}
TOLERANCES = (5.0, 3.0, 1.0)
DEGAUSS = 0.02  # Ry, cold smearing: AiiDA's balanced protocol
MIN_MESHES = 3  # of a study that is compared with a loop
TEST_SHARE = 0.05  # of the labels, for the evaluation in training; those kept apart judge
PLAIN_THRESHOLD = 2e-7  # Ry per atom: as loops of convergence studies have it
RYDBERG = 13.605693122994  # eV, CODATA 2018


def command(*words: str | Path) -> None:
    """Run a command of the package; the circle ends where it fails."""
    print("$ goldilocks-batch", *words, flush=True)
    done = subprocess.run([sys.executable, "-m", "goldilocks_batch.cli.app", *map(str, words)], check=False)
    if done.returncode not in (0, 1):  # 1: some structures have no label
        raise SystemExit(done.returncode)


def split(options: argparse.Namespace) -> None:
    """Write the crystals that are screened and those that are kept apart."""
    out = options.output
    if (out / "kept.parquet").exists():
        return
    ids, cifs = [], []
    sources = open_sources([options.manifest])
    texts = dict(
        zip(*pq.read_table(options.manifest, columns=["id", "cif"]).to_pydict().values(), strict=True)
    )
    allowed = {SYMBOLS.index(element) for element in CUTOFFS}
    for piece in sources.pieces(0, sources.rows):
        for reference in piece.read():
            formula = re.search(r"_chemical_formula_sum\s+'?([^'\n]+)", texts[reference.id])
            if formula is None or not set(re.findall("[A-Z][a-z]?", formula[1])) <= set(CUTOFFS):
                continue
            crystal = load(reference, max_sites=1000)
            if set(crystal.numbers.tolist()) <= allowed and len(crystal) <= options.sites:
                ids.append(reference.id)
                cifs.append(texts[reference.id])
    order = np.random.default_rng(options.seed).permutation(len(ids))
    table = pa.table({"id": ids, "cif": cifs}).take(pa.array(order))
    pq.write_table(table.slice(options.apart), out / "pool.parquet")
    pq.write_table(table.slice(0, options.apart), out / "kept.parquet")
    print(f"{len(ids)} crystals of up to {options.sites} sites, {options.apart} of them kept apart")


def configuration(options: argparse.Namespace) -> Path:
    """Write the configuration of the studies."""
    table = options.output / "cutoffs.json"
    table.write_text(
        json.dumps(
            {e: {"filename": f"{e}.upf", "cutoff_wfc": c, "cutoff_rho": 4 * c} for e, c in CUTOFFS.items()}
        )
    )
    chosen = {
        "code": {"pseudo_dir": str(options.pseudo), "cutoffs": str(table), "degauss": DEGAUSS},
        "ladder": {"start": 0.8},
        "tolerances": list(TOLERANCES),
        "budget": {"seconds": options.seconds},
        "retry": options.retry,
        "keep": True,
        "workers": options.workers,
    }
    path = options.output / "converge.yaml"
    path.write_text(yaml.safe_dump(chosen))
    return Path(path)


def circle(options: argparse.Namespace) -> None:
    """Every step from the screening to the models."""
    out = options.output
    split(options)
    command("run", out / "pool.parquet", "-o", out / "screening", "--workers", "1", "-q")
    if not (out / "next.parquet").exists():
        command("suggest", out / "screening", "-n", str(options.number), "-o", out / "next.parquet")
    config = configuration(options)
    for name in ("kept", "next"):
        command("converge", out / f"{name}.parquet", "-c", config, "-o", out / f"studies-{name}")


def train(out: Path) -> None:
    """Calibrate and train on the suggested crystals, a forest for each tolerance."""
    labels = out / "studies-next" / "labels.parquet"
    settings = {
        "columns": {int(t): f"k_dist_{t:g}mev" for t in TOLERANCES},
        "at_least": {int(t): f"first_{t:g}mev" for t in TOLERANCES},
    }
    (out / "train.yaml").write_text(yaml.safe_dump(settings))
    rest = ("--overwrite", "-q")
    share = ("--test-share", str(TEST_SHARE))
    for tolerance in TOLERANCES:
        target = ("--target", f"k_dist_{tolerance:g}mev")
        moved, forest = out / f"calibrated-{tolerance:g}", out / f"forest-{tolerance:g}"
        told = ("--tolerance", f"{tolerance:g}")
        command("calibrate", "mc3d", labels, *target, *told, "-o", moved, *rest)
        command("train", "rf", labels, *target, *share, "-o", forest, *rest)
    command("train", "boosted", labels, "-c", out / "train.yaml", *share, "-o", out / "boosted", *rest)


def judge(out: Path) -> None:
    """Print how each model does on the crystals that were kept apart."""
    kept = out / "studies-kept" / "labels-and-limits.parquet"
    lines = []
    for tolerance in sorted(TOLERANCES):
        models: dict[str, str | Path] = {
            "mc3d": "mc3d",
            "mc3d, calibrated": out / f"calibrated-{tolerance:g}",
            "forest": out / f"forest-{tolerance:g}",
            "boosted trees": out / "boosted",
        }
        for name, model in models.items():
            report = out / "reports" / f"{name.replace(', ', '-').replace(' ', '-')}-{tolerance:g}"
            words = ["--target", f"k_dist_{tolerance:g}mev", "--at-most", f"k_dist_at_most_{tolerance:g}mev"]
            if name != "forest":
                words += ["--tolerance", f"{tolerance:g}"]
            shutil.rmtree(report, ignore_errors=True)
            command("evaluate", model, kept, *words, "-o", report, "-q")
            found = json.loads((report / "evaluation.json").read_text(encoding="utf-8"))
            usual, level = found["constants"]["AiiDA balanced"], found["levels"][0]
            lines.append(
                f"| {tolerance:g} | {name} | {found['mae']:.3f} | {holds(level['lower'])} "
                f"| {level['model']['kpoints'] / usual['kpoints']:.2f} "
                f"| {level['constant_kpoints'] / usual['kpoints']:.2f} |"
            )
        lines.append(f"| {tolerance:g} | AiiDA's 0.15 | | {holds(usual['coverage'])} | 1 | |")
    print("| meV | model | MAE 1/Å | holds | k-points | of the constant as safe |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    print("\n".join(lines))


def holds(coverage: dict[str, Any]) -> str:
    """For how many rows a bound holds; a range where limits leave it open."""
    hits, unknown = coverage["hits"], coverage["unknown"]
    return f"{hits}{f' to {hits + unknown}' if unknown else ''} of {coverage['rows']}"


#: What a study or a loop has spent, in the order of its meshes.
Spent = list[dict[str, Any]]


def spent_on(folder: Path) -> Spent:
    """Diagonalisations, k-points, energies and time of the meshes of a study."""
    outputs = sorted(folder.glob("kept-*/espresso.pwo"))
    return [said_by(output.read_text(encoding="utf-8")) for output in outputs]


def said_by(output: str) -> dict[str, Any]:
    """What an output of ``pw.x`` tells of the work; energies in eV per atom."""
    (points,) = re.findall(r"number of k points=\s*(\d+)", output)
    (sites,) = re.findall(r"number of atoms/cell\s+=\s*(\d+)", output)
    (cpu,) = re.findall(r"PWSCF\s+:\s+(.*?)\s*CPU", output)
    parts = re.findall(r"([\d.]+)\s*([hms])", cpu)
    energies = [float(e) * RYDBERG / int(sites) for e in re.findall(r"total energy\s+=\s+(\S+) Ry", output)]
    return {
        "points": int(points),
        "steps": len(re.findall(r"iteration #", output)),
        "diagonalisations": len(re.findall("avg # of iterations", output)),
        "applications": sum(map(float, re.findall(r"avg # of iterations =\s*(\S+)", output))),
        "cpu": sum(float(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in parts),
        "first": energies[0],
        "last": energies[-1],
        "fermi": [float(e) for e in re.findall(r"the Fermi energy is\s+(\S+)", output)][-1],
    }


def supplied(text: str, about: dict[str, Any]) -> str:
    """An input with the cell as supplied, which a study has turned."""
    cell = np.array(about["cell"]).reshape(3, 3)
    places = np.array(about["frac"]).reshape(-1, 3)
    lines = ["CELL_PARAMETERS angstrom", *(" ".join(f"{x:.14f}" for x in vector) for vector in cell)]
    lines += ["ATOMIC_POSITIONS crystal"]
    for number, place in zip(about["numbers"], places, strict=True):
        lines.append(SYMBOLS[number] + "".join(f" {x:.14f}" for x in place))
    return text.partition("CELL_PARAMETERS")[0] + "\n".join(lines) + "\n"


def plain_loop(study: Path, work: Path) -> Spent:
    """The meshes of a study, each from scratch, with inputs as the study's."""
    found: Spent = []
    own = ("startingpot", "startingwfc", "diago_thr_init", "diago_david_ndim", "nbnd")
    about = json.loads((study / "study.json").read_text(encoding="utf-8"))
    for kept in sorted(study.glob("kept-*")):
        text = supplied((kept / "espresso.pwi").read_text(encoding="utf-8"), about)
        sites = int(re.findall(r"nat\s*=\s*(\d+)", text)[0])
        for name in own:
            text = re.sub(rf"\n\s*{name}\s*=.*", "", text)
        text = re.sub(r"conv_thr\s*=.*", f"conv_thr = {PLAIN_THRESHOLD * sites:.3e}", text)
        text = re.sub(r"disk_io\s*=.*", "disk_io = 'none'", text)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        (work / "in").write_text(text)
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        began = time.monotonic()
        done = subprocess.run(
            ["pw.x", "-in", "in"],  # noqa: S607 - the user's
            cwd=work,
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        found.append(said_by(done.stdout) | {"wall": time.monotonic() - began})
    return found


def first_steps(spent: dict[Path, Spent]) -> None:
    """Print how far the first step from the last density alone takes energies and labels."""
    later = [mesh for meshes in spent.values() for mesh in meshes[1:]]
    once = sum(mesh["steps"] == 1 for mesh in later)
    off = [1000 * abs(mesh["first"] - mesh["last"]) for mesh in later]
    other = labels = 0
    for meshes in spent.values():
        energies = [mesh["last"] for mesh in meshes]
        firsts = [energies[0], *(mesh["first"] for mesh in meshes[1:])]
        for tolerance in TOLERANCES:
            label = first_converged(energies, tolerance)
            labels += label is not None
            other += label != first_converged(firsts, tolerance)
    print(f"{len(spent)} studies, {len(later)} meshes that started from the last density")
    print(f"{once / len(later):.0%} of them were self-consistent after the first step")
    print(
        f"energy after the first step: off by {np.median(off):.3f} meV per atom in the middle, "
        f"{np.quantile(off, 0.95):.3f} at 95 %, {max(off):.3f} at most"
    )
    print(f"{other} of {labels} labels would be others by the energies of first steps")


def write_chosen(out: Path, names: set[str], folder: Path) -> list[Path]:
    """Write the structures of some studies; the tables they are in."""
    paths = []
    for part in ("kept", "next"):
        table = pq.read_table(out / f"{part}.parquet")
        chosen = [lone_name(one) in names for one in table.column("id").to_pylist()]
        if any(chosen):
            paths.append(folder / f"{part}.parquet")
            pq.write_table(table.filter(pa.array(chosen)), paths[-1])
    return paths


def together(out: Path, names: set[str], workers: int) -> float:
    """Seconds in which one command does some studies side by side, or what is kept of them."""
    folder = out / "together"
    kept = folder / "seconds.json"
    if not kept.exists():
        folder.mkdir(exist_ok=True)
        inputs = write_chosen(out, names, folder)
        words = ("--executor", "local", "--workers", str(workers), "-q", "--overwrite")
        began = time.monotonic()
        command("converge", *inputs, "-c", out / "converge.yaml", "-o", folder / "studies", *words)
        kept.write_text(json.dumps(time.monotonic() - began))
    return float(json.loads(kept.read_text()))


def pair(out: Path, name: str) -> tuple[Spent, Spent, int]:
    """A study done once more and its loop after it, or what is kept of them.

    Returns:
        What the study and the loop spent on each mesh, and how many meshes the study calculated again since
        their bands were too few or their Fermi energy was another; that work is part of the study's.
    """
    folder = out / "pairs" / name
    if not (folder / "loop.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (one,) = write_chosen(out, {name}, folder)
        words = ("-o", folder / "studies", "--executor", "serial", "-q", "--overwrite")
        command("converge", one, "-c", out / "converge.yaml", *words)
        loop = plain_loop(folder / "studies" / "studies" / name, folder / "work")
        (folder / "loop.json").write_text(json.dumps(loop))
    study = folder / "studies" / "studies" / name
    again = {path.name: path for path in study.glob("kept-*/set-aside-*.pwo")}
    mine = spent_on(study)
    for path in again.values():
        said = said_by(path.read_text(encoding="utf-8"))
        mesh = mine[sorted(study.glob("kept-*")).index(path.parent)]
        for key in ("diagonalisations", "applications", "cpu"):
            mesh[key] += said[key]
    return mine, json.loads((folder / "loop.json").read_text()), len(again)


def compare(options: argparse.Namespace) -> None:
    """Print what studies cost beside plain loops, the cheapest ones first."""
    out = options.output
    studies = [p for name in ("kept", "next") for p in (out / f"studies-{name}" / "studies").iterdir()]
    spent = {study: meshes for study in studies if len(meshes := spent_on(study)) >= MIN_MESHES}
    first_steps(spent)
    cheap = sorted(spent, key=lambda study: sum(m["cpu"] for m in spent[study]))[: options.plain]
    totals = {"plain loop": np.zeros(4), "studies": np.zeros(4)}
    ratios, errors, other, repeated, elsewhere, waited = [], [], 0, 0, 0, 0.0
    for study in cheap:
        mine, loop, again = pair(out, study.name)
        repeated += again
        waited += sum(m["wall"] for m in loop)
        apart = [abs(m["fermi"] - p["fermi"]) for m, p in zip(mine, loop, strict=True)]
        elsewhere += sum(e > DEGAUSS * RYDBERG for e in apart)
        for name, done in (("studies", mine), ("plain loop", loop)):
            totals[name] += [
                sum(m["points"] for m in done),
                sum(m["points"] * m["diagonalisations"] for m in done),
                sum(m["points"] * m["applications"] for m in done),
                sum(m["cpu"] for m in done),
            ]
        ratios.append(sum(m["cpu"] for m in mine) / sum(m["cpu"] for m in loop))
        shift = np.array([m["last"] for m in mine]) - [m["last"] for m in loop]
        errors.append(1000 * float(np.ptp(shift)))
        differ = sum(
            first_converged([m["last"] for m in mine], tolerance)
            != first_converged([m["last"] for m in loop], tolerance)
            for tolerance in TOLERANCES
        )
        other += differ
        print(f"{study.name}: {ratios[-1]:.2f} of the time, {errors[-1]:.3f} meV, {differ} labels differ")
    share = totals["studies"] / totals["plain loop"]
    print(f"\n{len(cheap)} studies against plain loops over the same meshes")
    print("| | k-points | × diagonalisations | × iterations of these | processor time s |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, total in totals.items():
        print(f"| {name} |" + "".join(f" {value:,.0f} |" for value in total))
    print("| share |" + "".join(f" {value:.2f} |" for value in share))
    print(
        f"processor time of a study over its loop's: {min(ratios):.2f} to {max(ratios):.2f}, "
        f"{median(ratios):.2f} in the middle"
    )
    print(
        f"differences between meshes: off by {median(errors):.3f} meV per atom in the middle, "
        f"{max(errors):.3f} at most"
    )
    print(f"meshes calculated again, for too few bands or another Fermi energy: {repeated}")
    print(f"meshes for which the two found other Fermi energies, by more than the smearing: {elsewhere}")
    print(f"labels that differ: {other} of {len(cheap) * len(TOLERANCES)}")
    seconds = together(out, {study.name for study in cheap}, options.workers)
    print(
        f"one command with {options.workers} workers: {seconds:.0f} s; the loops one after the other: "
        f"{waited:.0f} s, {waited / seconds:.1f} times as long"
    )


def main() -> None:
    """Go round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--pseudo", type=Path, required=True, help="folder of ELEMENT.upf")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("-n", "--number", type=int, default=40, help="structures that are suggested")
    parser.add_argument("--apart", type=int, default=15, help="structures that are kept apart")
    parser.add_argument("--sites", type=int, default=8, help="most sites of a cell")
    parser.add_argument("--seconds", type=float, default=150.0, help="budget of a study")
    parser.add_argument("--retry", action="store_true", help="take up studies that have no label")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", type=int, default=0, help="compare so many studies with plain loops")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    circle(options)
    train(options.output)
    judge(options.output)
    if options.plain:
        compare(options)


if __name__ == "__main__":
    main()
