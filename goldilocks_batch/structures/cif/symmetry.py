"""The symmetry of a CIF: from its operations, else from the name or number of its space group.

Where a name leaves axes or origin open, or tags contradict each other, every reading is tried, and what the
file itself fixes decides: the shape of the cell, the contents that its formula and multiplicities give, and
that atoms do not sit on each other.  Where that leaves more than one crystal, the file is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ErrorCode, Stage, StructureError
from goldilocks_batch.structures.checks import overlapping_pair
from goldilocks_batch.structures.cif.contents import Contents
from goldilocks_batch.structures.cif.document import Block
from goldilocks_batch.structures.cif.groups import Setting
from goldilocks_batch.structures.cif.operations import (
    EXACT_METRIC,
    Operations,
    from_triplets,
    keeps_metric,
)
from goldilocks_batch.structures.cif.orbits import Expanded, expand, same_sites
from goldilocks_batch.structures.cif.sites import Sites
from goldilocks_batch.structures.cif.statements import (
    Statement,
    common_settings,
    is_plainly_p1,
    statements,
    triplets,
)
from goldilocks_batch.structures.outcome import ReadOptions, refuse

__all__ = ["Solved", "solve"]

IDENTITY = Operations(np.eye(3)[None], np.zeros((1, 3)), 1)


@dataclass(frozen=True, slots=True)
class Solved:
    """A symmetry applied.

    Attributes:
        expanded: all sites of the cell.
        flags: remarks on how the symmetry was decided.
    """

    expanded: Expanded
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Case:
    """What every reading is judged by."""

    sites: Sites
    lattice: NDArray[np.float64]
    contents: Contents
    options: ReadOptions

    def try_out(self, operations: Operations) -> tuple[Expanded, StructureError | None]:
        """Apply operations and say what speaks against them."""
        sites = self.sites
        expanded = expand(sites.frac, sites.labels, self.lattice, operations, self.options.max_sites)
        numbers = sites.numbers[expanded.listed]
        without = self.options.allow_missing_hydrogens
        wrong = self.contents.judge(numbers, expanded.orbits, len(operations), without_hydrogens=without)
        if wrong is None and expanded.far is not None and not self.contents.fix_sites:
            wrong = StructureError(ErrorCode.ATOMS_OVERLAP, expanded.far, stage=Stage.CHECK)
        if wrong is not None and expanded.far is not None and wrong.code is not ErrorCode.ATOMS_OVERLAP:
            message = f"{wrong.message}; {expanded.far}"
            wrong = StructureError(wrong.code, message, stage=wrong.stage)
        return expanded, wrong

    def overlaps(self, expanded: Expanded) -> bool:
        """Whether atoms of a reading sit on each other."""
        everywhere = np.ones(3, dtype=bool)
        first, _, _ = overlapping_pair(self.lattice, expanded.frac, everywhere, self.options.closest)
        return first >= 0


def solve(
    block: Block, sites: Sites, lattice: NDArray[np.float64], contents: Contents, options: ReadOptions
) -> Solved:
    """Find the symmetry of a block and apply it to its sites.

    Args:
        block: the data block.
        sites: that it lists.
        lattice: ``(3, 3)``, Å.
        contents: what the cell should hold.
        options: limits and what is accepted.

    Raises:
        StructureError: SYMMETRY_UNKNOWN, SYMMETRY_AMBIGUOUS or SYMMETRY_CONTRADICTORY; CONTENT_MISMATCH and
            the like, if what the symmetry gives is not what the file says.
    """
    case = _Case(sites, lattice, contents, options)
    if is_plainly_p1(block):
        expanded, wrong = case.try_out(IDENTITY)
        if wrong is not None:
            raise wrong
        return Solved(expanded)
    stated = statements(block)
    listed = triplets(block)
    if listed is not None:
        return _by_operations(case, from_triplets(listed), stated)
    if not stated:
        return _assumed_p1(case, block)
    return _by_names(case, stated)


def _assumed_p1(case: _Case, block: Block) -> Solved:
    """No symmetry at all: the CIF dictionary's default is the identity, which is flagged."""
    expanded, wrong = case.try_out(from_triplets(("x,y,z",)))
    if wrong is not None:
        if wrong.code is ErrorCode.CONTENT_MISMATCH:
            message = f"{wrong.message} The file names no symmetry, so that P 1 was assumed"
            wrong = StructureError(wrong.code, message, stage=wrong.stage)
        raise wrong
    named = any(tag.startswith("_space_group_magn") for tag in block.values)
    return Solved(expanded, () if named else ("symmetry_assumed_p1",))


def _by_operations(case: _Case, operations: Operations, stated: list[Statement]) -> Solved:
    if not keeps_metric(operations, case.lattice):
        message = "the symmetry operations do not keep the cell: they exchange axes that are not alike"
        refuse(ErrorCode.SYMMETRY_CONTRADICTORY, f"{message}; the cell or the operations are wrong")
    named = [statement for statement in stated if statement.named.settings]
    agreeing = [s for s in named if operations.number in s.numbers]
    expanded, wrong = case.try_out(operations)
    if len(agreeing) == len(named):
        if wrong is not None:
            raise wrong
        return Solved(expanded)
    other = next(statement for statement in named if statement not in agreeing)
    order = len(other.named.settings[0].operations)
    if wrong is None and case.contents.fix_sites and _is_fixed(case, other):
        return Solved(expanded, ("symmetry_resolved",))
    if len(operations) < order:
        count = f"{len(operations)} symmetry operation{'s' if len(operations) > 1 else ''}"
        message = f"the file lists {count}, {other.text} has {order}"
        message = f"{message}; list them all, or correct the name"
    else:
        message = f"the {len(operations)} symmetry operations are not those of {other.text}"
        message = f"{message}; correct the one or the other"
    raise StructureError(ErrorCode.SYMMETRY_CONTRADICTORY, message, stage=Stage.READ)


def _is_fixed(case: _Case, other: Statement) -> bool:
    """Whether the file's contents speak against every reading of another statement of the symmetry."""
    return all(_rejected(case, setting)[1] is not None for setting in other.named.settings)


def _by_names(case: _Case, stated: list[Statement]) -> Solved:
    unknown = [statement for statement in stated if not statement.named.settings]
    known = [statement for statement in stated if statement.named.settings]
    if not known:
        message = f"the space group {unknown[0].text!r} is in no table, and no operations are listed"
        refuse(ErrorCode.SYMMETRY_UNKNOWN, f"{message}; list the operations, or use a standard symbol")
    settings, contradiction = common_settings(known)
    by_number = all(statement.by_number for statement in known)
    others = [setting for statement in known for setting in statement.named.others]
    others = [setting for setting in dict.fromkeys(others) if setting not in settings]
    numbers = {setting.number for setting in settings}
    others = [setting for setting in others if setting.number in numbers]
    fitting = _fitting(settings, case.lattice)
    resolved = contradiction
    if not fitting or (not _exactly(fitting, case.lattice) and _exactly(others, case.lattice)):
        fitting = _fitting(others, case.lattice)
        resolved = True
    if not fitting:
        names = " and ".join(statement.text for statement in known)
        message = f"the cell does not have the symmetry of {names}"
        refuse(ErrorCode.SYMMETRY_CONTRADICTORY, f"{message}; correct the cell or the space group")
    return _best(case, fitting, others, known, _How(by_number, bool(unknown), resolved))


def _exactly(settings: list[Setting], lattice: NDArray[np.float64]) -> list[Setting]:
    return [s for s in settings if keeps_metric(s.operations, lattice, EXACT_METRIC)]


def _fitting(settings: list[Setting], lattice: NDArray[np.float64]) -> list[Setting]:
    """The settings that fit the cell exactly, or where none does, nearly."""
    return _exactly(settings, lattice) or [s for s in settings if keeps_metric(s.operations, lattice)]


@dataclass(frozen=True, slots=True)
class _How:
    """How readings were found: by a number alone, beside a name that is unknown, against what is stated."""

    by_number: bool
    beside_unknown: bool
    resolved: bool


def _best(
    case: _Case, fitting: list[Setting], others: list[Setting], known: list[Statement], how: _How
) -> Solved:
    """Choose among settings that fit the cell, by what each makes of the sites."""
    if len(fitting) == 1 and not how.by_number:
        only, wrong = case.try_out(fitting[0].operations)
        if wrong is not None:
            raise wrong
        return Solved(only, ("symmetry_resolved",) if how.resolved else ())
    tried = [(setting, *_rejected(case, setting)) for setting in fitting]
    good = _unrejected(tried)
    resolved = how.resolved or len(good) < len(tried)
    unsure = how.resolved or how.beside_unknown
    if not good and how.by_number:
        more = _fitting([setting for setting in others if setting not in fitting], case.lattice)
        tried += [(setting, *_rejected(case, setting)) for setting in more]
        good = _unrejected(tried)
        resolved = unsure = True
    if not good:
        _refuse_all(known, [(setting, wrong) for setting, _, wrong in tried if wrong is not None])
    chosen = _preferred(good, unsure=unsure or len({setting.number for setting, _ in good}) > 1)
    if chosen is None:
        _refuse_ambiguous(case, known, good)
    flags = ["symmetry_resolved"] if resolved else []
    if how.by_number and (others or len(fitting) > 1):
        flags.append("symmetry_by_number")
    return Solved(chosen, tuple(flags))


def _unrejected(
    tried: list[tuple[Setting, Expanded | None, StructureError | None]],
) -> list[tuple[Setting, Expanded]]:
    return [(setting, sites) for setting, sites, wrong in tried if wrong is None and sites is not None]


def _rejected(case: _Case, setting: Setting) -> tuple[Expanded | None, StructureError | None]:
    """The sites under a setting, and what speaks against it, if anything."""
    if not keeps_metric(setting.operations, case.lattice):
        reason = f"{setting.name} does not fit the cell"
        return None, StructureError(ErrorCode.SYMMETRY_CONTRADICTORY, reason, stage=Stage.READ)
    try:
        expanded, wrong = case.try_out(setting.operations)
    except StructureError as error:
        return None, error
    if wrong is None and case.overlaps(expanded):
        reason = f"{setting.name} puts atoms on top of each other"
        wrong = StructureError(ErrorCode.ATOMS_OVERLAP, reason, stage=Stage.CHECK)
    return expanded, wrong


def _preferred(good: list[tuple[Setting, Expanded]], *, unsure: bool) -> Expanded | None:
    """The reading that convention means, or the only one; None if the choice is open.

    A short monoclinic symbol means unique axis b, a number the standard setting.  Neither is relied on
    where the file has contradicted itself, nor does it choose an origin.
    """
    if len(good) == 1 or all(same_sites(good[0][1], expanded) for _, expanded in good[1:]):
        return good[0][1]
    if unsure:
        return None
    ranks = [0 if setting.standard else 1 if _unique_b(setting) else 2 for setting, _ in good]
    best = [expanded for rank, (_, expanded) in zip(ranks, good, strict=True) if rank == min(ranks)]
    return best[0] if len(best) == 1 else None


def _unique_b(setting: Setting) -> bool:
    return any((choice[:1] == "b" and choice[1:].isdigit()) or choice == "b" for choice in setting.choices)


def _refuse_all(known: list[Statement], tried: list[tuple[Setting, StructureError]]) -> NoReturn:
    if len(tried) == 1:
        raise tried[0][1]
    wrong = [error for _, error in tried]
    hydrogens = [error for error in wrong if error.code is ErrorCode.HYDROGENS_MISSING]
    if len(hydrogens) == 1:
        raise hydrogens[0]
    codes = {error.code for error in wrong}
    code = codes.pop() if len(codes) == 1 else ErrorCode.CONTENT_MISMATCH
    readings = "; ".join(f"as {setting.name}: {error.message}" for setting, error in tried[:3])
    names = ", ".join(statement.text for statement in known)
    raise StructureError(code, f"no reading of {names} fits the file: {readings}"[:600], stage=Stage.READ)


def _refuse_ambiguous(case: _Case, known: list[Statement], good: list[tuple[Setting, Expanded]]) -> NoReturn:
    names = ", ".join(statement.text for statement in known)
    numbers = {setting.number for setting, _ in good}
    readings = " or ".join(f"{setting.name} ({len(expanded.frac)} sites)" for setting, expanded in good[:4])
    code = ErrorCode.SYMMETRY_AMBIGUOUS if len(numbers) == 1 else ErrorCode.SYMMETRY_CONTRADICTORY
    hint = "name the setting, list the operations"
    if case.contents.formula is None or case.contents.units is None:
        hint = f"{hint}, or give _chemical_formula_sum with _cell_formula_units_Z"
    refuse(code, f"{names} can be read as {readings}, and nothing in the file decides; {hint}")
