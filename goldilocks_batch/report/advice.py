"""What to do about each way in which a structure can fail."""

from __future__ import annotations

from goldilocks_batch.core.errors import ErrorCode

__all__ = ["ADVICE", "meaning_of"]

_SEND = "Run `goldilocks-batch inspect FILE -v` and report it with the file."
_ALONE = (
    "Look at the structure alone with `goldilocks-batch inspect`; the others of its shard are not affected."
)

#: By error code; codes that no row carries are not among them.
ADVICE: dict[ErrorCode, str] = {
    ErrorCode.FILE_NOT_FOUND: "Put the file where the input names it, then run the same command again with "
    "`--overwrite`.",
    ErrorCode.FILE_UNREADABLE: "Check permissions and whether the file was copied whole; a packed file may "
    "have to be packed anew.",
    ErrorCode.PATH_FORBIDDEN: "Move the files into the manifest's folder, or allow this with "
    "`--allow-outside` if you trust who made the manifest.",
    ErrorCode.FORMAT_UNKNOWN: "Convert it to CIF, POSCAR, extended XYZ or pymatgen JSON, or give it the "
    "ending of its format.",
    ErrorCode.PARSE_FAILED: "The message names the place: export the structure anew, or mend the text there.",
    ErrorCode.NO_STRUCTURE: "Leave the file out, or export it with cell and sites.",
    ErrorCode.SEVERAL_STRUCTURES: "Write one structure a file, or a manifest with one a row.",
    ErrorCode.ID_INVALID: "Write the manifest's ids as UTF-8 text.",
    ErrorCode.NULL_VALUE: "Fill the column in this row of the manifest, or leave the row out.",
    ErrorCode.SYMMETRY_UNKNOWN: "List the symmetry operations in the file, or use a standard symbol.",
    ErrorCode.SYMMETRY_AMBIGUOUS: "Name the setting in the file, or list its symmetry operations.",
    ErrorCode.SYMMETRY_CONTRADICTORY: "Correct the space group, the operations or the cell; the message says "
    "which disagree.",
    ErrorCode.CONTENT_MISMATCH: "Compare sites and formula in the file: one of them is wrong or incomplete.",
    ErrorCode.HYDROGENS_MISSING: "Add the hydrogens' positions, or go on without them, flagged, with "
    "`--allow-missing-hydrogens`.",
    ErrorCode.PARTIAL_OCCUPANCY: "Choose an ordered structure, such as an approximant or one from an "
    "enumeration of orderings.",
    ErrorCode.OCCUPANCY_INVALID: "Correct the occupancy in the file.",
    ErrorCode.SPECIES_UNKNOWN: "Give every site the symbol of an element.",
    ErrorCode.SHAPE_MISMATCH: "Write as many positions as species, and a cell of three vectors.",
    ErrorCode.LATTICE_ZERO: "Give the file a cell; a molecule has no k-points to converge.",
    ErrorCode.LATTICE_COLLAPSED: "Check the cell's vectors and their unit, Å.",
    ErrorCode.NOT_FINITE: "Correct the number in the file; it often stands for a field that was left empty.",
    ErrorCode.ATOMS_OVERLAP: "Remove the duplicate site; disorder is often written as sites on one spot.",
    ErrorCode.TOO_MANY_SITES: "Use a smaller cell, or raise `--max-sites`.",
    ErrorCode.PRIMITIVE_FAILED: "Check the cell and, if it is sound, try another `--symprec`.",
    ErrorCode.SYMMETRY_FAILED: "Check for sites that nearly coincide, or try another `--symprec`.",
    ErrorCode.ELEMENT_NOT_TABULATED: "Choose a model whose tables hold the element: "
    "`goldilocks-batch models show`.",
    ErrorCode.NO_NEIGHBOURS: "The cell is too empty for a crystal: check its size and unit, Å.",
    ErrorCode.FEATURES_FAILED: _SEND,
    ErrorCode.GRAPH_FAILED: _SEND,
    ErrorCode.PREDICTION_FAILED: "Choose another model for this structure; the message says why.",
    ErrorCode.PREDICTION_NOT_FINITE: "Choose another model for this structure.",
    ErrorCode.PSEUDOPOTENTIAL_MISSING: "In `converge` alone: put the element's file in `code.pseudo_dir`; "
    "`retry: true`.",
    ErrorCode.CODE_FAILED: "In `converge` alone: the row has the code's last lines, its folder the rest; "
    "mend the cause; `retry: true`.",
    ErrorCode.SCF_NOT_CONVERGED: "In `converge` alone: mix less or allow more steps in `code.parameters`.",
    ErrorCode.BUDGET: "In `converge` alone: allow more in `budget`; `retry: true`.",
    ErrorCode.BOUND_MISSING: "In exports alone: take another bound, or run with a model that has this one.",
    ErrorCode.STRUCTURE_CHANGED: "In exports alone: put the former inputs back, or run again.",
    ErrorCode.WORKER_CRASH: _ALONE,
    ErrorCode.TIMEOUT: f"Allow more with `--task-timeout`. {_ALONE}",
    ErrorCode.OUT_OF_MEMORY: f"Allow more with `--memory-limit`. {_ALONE}",
    ErrorCode.INTERNAL: _SEND,
}


def meaning_of(code: str) -> tuple[str, str]:
    """What a code means and what to do about it; empty texts for one that this version does not know."""
    known = next((member for member in ErrorCode if member.value == code), None)
    return ("", "") if known is None else (known.meaning, ADVICE.get(known, ""))
