"""Texts that are large or repetitive are refused, or read, in time that grows with their length."""

from __future__ import annotations

import time

import pytest

from goldilocks_batch.core.errors import ErrorCode
from goldilocks_batch.structures.sources.reference import Format
from tests.structure_texts import cif_text, outcome, read_text_of, refusal

BIG = [50, 50, 50]
LABELLED = ("label", "fract_x", "fract_y", "fract_z")


def rows(count: int) -> list[str]:
    return [
        f"Si{i} {i / count:.6f} {i * 7 % count / count:.6f} {i * 13 % count / count:.6f}"
        for i in range(count)
    ]


def big(head: str, count: int = 3) -> str:
    return cif_text(BIG, sites=rows(count), head=head, columns=LABELLED)


def operations(lines: list[str]) -> str:
    return "loop_\n_symmetry_equiv_pos_as_xyz\n" + "\n".join(lines)


CELL = 'Lattice="50 0 0 0 50 0 0 0 50"'
POSCAR = "x\n1\n50 0 0\n0 50 0\n0 0 50\n"
SITE = '{"species":[{"element":"Si","occu":1}],"abc":[0,0,0]}'
P1 = "_symmetry_space_group_name_H-M 'P 1'"
FCC = "_symmetry_space_group_name_H-M 'F m -3 m'"

TEXTS = {
    "cif, 1e5 sites": (Format.CIF, big(P1, 100_000), ErrorCode.TOO_MANY_SITES),
    "cif, 4000 sites with symmetry": (Format.CIF, big(FCC, 4000), ErrorCode.TOO_MANY_SITES),
    "cif, 999 sites of 192 images": (Format.CIF, big(FCC, 999), ErrorCode.TOO_MANY_SITES),
    "cif, blank lines": (Format.CIF, big("\n" * 40_000 + P1), None),
    "cif, blank lines and a value to mend": (Format.CIF, big("\n" * 40_000 + "_x a b c\n" + P1), None),
    "cif, spaces": (Format.CIF, big(" " * 400_000 + "\n_x a b c\n" + P1), None),
    "cif, 1e4 operations": (Format.CIF, big(operations([f"'x+{i}/10000,y,z'" for i in range(10_000)])),
        ErrorCode.PARSE_FAILED),
    "cif, 1e4 torn operations": (Format.CIF, big(operations(["x, y, z"] * 10_000)), ErrorCode.PARSE_FAILED),
    "cif, 768 operations": (Format.CIF, big(operations([f"'x,y,z+{i}'" for i in range(768)])), None),
    "cif, quotes": (Format.CIF, big("_x " + "'" * 100_000 + "\n" + P1), None),
    "cif, long formula": (Format.CIF, big("_chemical_formula_sum '" + "C1 " * 100_000 + "'\n" + P1),
        ErrorCode.CONTENT_MISMATCH),
    "cif, glued formula": (Format.CIF, big("_chemical_formula_sum '" + "C1" * 100_000 + "x'\n" + P1), None),
    "cif, long symbol": (Format.CIF, big("_symmetry_space_group_name_H-M '" + "( " * 100_000 + "'"),
        ErrorCode.SYMMETRY_UNKNOWN),
    "cif, long Hall symbol": (Format.CIF,
        big("_symmetry_space_group_name_Hall '" + "-P 2 " * 50_000 + "'"), ErrorCode.SYMMETRY_UNKNOWN),
    "cif, 30,000 blocks": (Format.CIF, "".join(f"data_{i}\n_cell_length_a 1\n" for i in range(30_000)),
        ErrorCode.NO_STRUCTURE),
    "cif, ragged": (Format.CIF, big(P1, 100_000) + "Si 0.1\n", ErrorCode.PARSE_FAILED),
    "cif, open text field": (Format.CIF, big(P1) + "_x\n;\n" + "abc\n" * 100_000, ErrorCode.PARSE_FAILED),
    "cif, long label": (Format.CIF, cif_text(BIG, sites=["A" * 200_000 + " 0 0 0"], head=P1,
        columns=LABELLED), ErrorCode.SPECIES_UNKNOWN),
    "poscar, 1e5 positions": (Format.POSCAR, POSCAR + "Si\n100000\nDirect\n" + "0.1 0.2 0.3\n" * 100_000,
        ErrorCode.TOO_MANY_SITES),
    "poscar, blank lines": (Format.POSCAR, POSCAR + "Si\n2\nDirect\n0 0 0\n" + "\n" * 400_000 + "0 0 0\n",
        ErrorCode.PARSE_FAILED),
    "poscar, 1e5 kinds": (Format.POSCAR,
        POSCAR + "Si " * 100_000 + "\n" + "1 " * 100_000 + "\nDirect\n0 0 0\n", ErrorCode.TOO_MANY_SITES),
    "poscar, kinds without end": (Format.POSCAR, POSCAR + "Si\n" * 100_000, ErrorCode.PARSE_FAILED),
    "poscar, long number": (Format.POSCAR, POSCAR + "Si\n" + "9" * 4000 + "\nDirect\n0 0 0\n",
        ErrorCode.TOO_MANY_SITES),
    "xyz, 1e5 atoms": (Format.XYZ, f"100000\n{CELL}\n" + "Si 0 0 0\n" * 100_000, ErrorCode.TOO_MANY_SITES),
    "xyz, one long word": (Format.XYZ, "1\n" + "abcdefgh" * 50_000 + "\nSi 0 0 0\n", ErrorCode.LATTICE_ZERO),
    "xyz, open quotes": (Format.XYZ, "1\n" + 'a="b ' * 50_000 + "\nSi 0 0 0\n", ErrorCode.LATTICE_ZERO),
    "xyz, open brackets": (Format.XYZ, "1\n" + "a=[ " * 50_000 + "\nSi 0 0 0\n", ErrorCode.LATTICE_ZERO),
    "xyz, quotes": (Format.XYZ, "1\n" + '"' * 100_001 + "\nSi 0 0 0\n", ErrorCode.LATTICE_ZERO),
    "xyz, spaces": (Format.XYZ, "1\na " + " " * 200_000 + "\nSi 0 0 0\n", ErrorCode.LATTICE_ZERO),
    "xyz, backslashes": (Format.XYZ, '1\na="' + "\\" * 200_001 + '"\nSi 0 0 0\n', ErrorCode.LATTICE_ZERO),
    "xyz, properties": (Format.XYZ, f"1\n{CELL} Properties=" + "a:R:1:" * 50_000 + "pos:R:3\nSi 0 0 0\n",
        ErrorCode.PARSE_FAILED),
    "json, 1e5 sites": (Format.JSON,
        '{"lattice":{"matrix":[[50,0,0],[0,50,0],[0,0,50]]},"sites":[' + ",".join([SITE] * 100_000) + "]}",
            ErrorCode.TOO_MANY_SITES),
}  # fmt: skip


@pytest.mark.parametrize(("text_format", "text", "code"), TEXTS.values(), ids=TEXTS)
def test_time_grows_with_length(text_format: Format, text: str, code: ErrorCode | None) -> None:
    read_text_of(big(FCC, 1))  # kernels are compiled, tables made
    began = time.process_time()
    found = outcome(text, text_format)
    took = time.process_time() - began
    if code is None:
        assert not isinstance(found, ErrorCode)
    else:
        assert found is code
    assert took < 1.5  # all take less than 0.3 s on a quiet core but the last, 0.7 s


@pytest.mark.parametrize(("text_format", "text", "code"), TEXTS.values(), ids=TEXTS)
def test_messages_stay_short(text_format: Format, text: str, code: ErrorCode | None) -> None:
    if code is not None:
        assert len(refusal(text, text_format).message) <= 600
