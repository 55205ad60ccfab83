"""Parameters of Quantum ESPRESSO, as ASE's ``Espresso`` takes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from goldilocks_batch.config.convergence import CodeOptions
from goldilocks_batch.convergence.pseudos import Family, Pseudo
from goldilocks_batch.convergence.study import CalculationFailed
from goldilocks_batch.core.errors import ConfigError, ErrorCode
from goldilocks_batch.structures.crystal import SYMBOLS, Crystal

__all__ = ["elements_of", "espresso_parameters", "has_direction"]


#: Parameters of a mesh that starts from the density of the last one.  The first diagonalisation is then the
#: longest one: a larger subspace, which is rarely cut back, saves a fifth of its iterations.
_GOING_ON = {"startingpot": "file", "diago_david_ndim": 4}

#: Of one that starts from wave functions, too.  They are worth little more than the first threshold, and the
#: second diagonalisation knows which bands are empty and leaves these as they are.
_WITH_WAVES = {"startingwfc": "file", "diago_thr_init": 1e-4}

#: Parameters whose meaning does not depend on how the cell lies in space.
_WITHOUT_DIRECTION = {
    *("calculation", "disk_io", "max_seconds", "outdir", "prefix", "tprnfor", "tstress", "verbosity"),
    *("degauss", "ecutrho", "ecutwfc", "input_dft", "nbnd", "noinv", "nosym", "nspin", "occupations"),
    *("smearing", "starting_magnetization", "tot_charge", "tot_magnetization", "vdw_corr"),
    *("conv_thr", "electron_maxstep", "mixing_beta", "mixing_mode", "mixing_ndim", "scf_must_converge"),
    *("diago_cg_maxiter", "diago_david_ndim", "diago_full_acc", "diago_thr_init", "diagonalization"),
    *("startingpot", "startingwfc"),
}


def has_direction(names: Iterable[str]) -> bool:
    """Whether parameters may name a direction in space, as fields and non-collinear magnetism do."""
    return not {name.partition("(")[0].lower() for name in names} <= _WITHOUT_DIRECTION


def elements_of(crystal: Crystal) -> list[str]:
    """Symbols of the elements of a crystal, sorted."""
    return sorted({SYMBOLS[z] for z in crystal.numbers})


def espresso_parameters(
    options: CodeOptions,
    family: Family,
    crystal: Crystal,
    *,
    go_on: bool,
    waves: bool = False,
    bands: int | None = None,
) -> dict[str, Any]:
    """Parameters of ASE's ``Espresso`` but for the mesh.

    Args:
        options: how the code is called.
        family: its pseudopotentials.
        crystal: the structure.
        go_on: start from the density that is there.
        waves: start from the wave functions that are there, too.
        bands: how many are calculated; None, pw.x's own number.

    Raises:
        CalculationFailed: PSEUDOPOTENTIAL_MISSING, or there is no cutoff.
    """
    elements = elements_of(crystal)
    missing = [element for element in elements if element not in family.of]
    if missing:
        raise CalculationFailed(
            ErrorCode.PSEUDOPOTENTIAL_MISSING,
            f"no pseudopotential of {', '.join(missing)} in {options.pseudo_dir}",
        )
    pseudos = [family.of[element] for element in elements]
    smearing = (
        {}
        if options.smearing is None
        else {"occupations": "smearing", "smearing": options.smearing, "degauss": options.degauss}
    )
    if options.conv_thr is None:
        raise ValueError("the threshold of self-consistency is not decided: ConvergeConfig.decided_code")
    own = {
        "calculation": "scf",
        "conv_thr": options.conv_thr * len(crystal),
        "disk_io": "low",  # keeps the density for the next mesh
        "outdir": "./density",
        **smearing,
        **_cutoffs(options, pseudos),
        **(_GOING_ON if go_on else {}),
        **(_WITH_WAVES if waves else {}),
        **({} if bands is None else {"nbnd": bands}),
        **options.parameters,
    }
    return {
        "input_data": own,
        "pseudopotentials": {element: family.of[element].path.name for element in elements},
    }


def _cutoffs(options: CodeOptions, pseudos: list[Pseudo]) -> dict[str, float]:
    """The largest cutoffs of the elements, Ry, where the configuration names none."""
    if "ecutwfc" in options.parameters:
        return {}
    wave = [pseudo.cutoff for pseudo in pseudos if pseudo.cutoff is not None]
    density = [pseudo.density_cutoff for pseudo in pseudos if pseudo.density_cutoff is not None]
    if len(wave) < len(pseudos):
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            "no cutoff: name a table (code.cutoffs), or one for all (code.parameters: {ecutwfc: 60})",
        )
    return {"ecutwfc": max(wave), "ecutrho": max(density)}
