"""Write the example crystals as CIF files, from lattice constants found in textbooks.

    python examples/make_structures.py            # writes examples/structures/*.cif

Room-temperature lattice constants (Å) and internal coordinates as tabulated in Kittel, *Introduction to
Solid State Physics*, Ashcroft and Mermin, *Solid State Physics*, and Wyckoff, *Crystal Structures*.
Each entry: space group (number and symbol), a, c (None: equal to a), and the sites of the asymmetric unit.
"""

from __future__ import annotations

from pathlib import Path

Site = tuple[str, float, float, float]

FM3M, IM3M, FD3M, F43M, PM3M = (225, "Fm-3m"), (229, "Im-3m"), (227, "Fd-3m"), (216, "F-43m"), (221, "Pm-3m")
HCP, WURTZITE = (194, "P6_3/mmc"), (186, "P6_3mc")


def _one(element: str) -> list[Site]:
    return [(element, 0.0, 0.0, 0.0)]


def _hcp(element: str) -> list[Site]:
    return [(element, 1 / 3, 2 / 3, 0.25)]


def _rock_salt(cation: str, anion: str) -> list[Site]:
    return [(cation, 0.0, 0.0, 0.0), (anion, 0.5, 0.5, 0.5)]


def _zinc_blende(cation: str, anion: str) -> list[Site]:
    return [(cation, 0.0, 0.0, 0.0), (anion, 0.25, 0.25, 0.25)]


def _wurtzite(cation: str, anion: str, u: float) -> list[Site]:
    return [(cation, 1 / 3, 2 / 3, 0.0), (anion, 1 / 3, 2 / 3, u)]


CRYSTALS: dict[str, tuple[tuple[int, str], float, float | None, list[Site]]] = {
    # metals
    "Al-fcc": (FM3M, 4.0495, None, _one("Al")),
    "Cu-fcc": (FM3M, 3.6149, None, _one("Cu")),
    "Ag-fcc": (FM3M, 4.0853, None, _one("Ag")),
    "Au-fcc": (FM3M, 4.0782, None, _one("Au")),
    "Ni-fcc": (FM3M, 3.5240, None, _one("Ni")),
    "Pt-fcc": (FM3M, 3.9242, None, _one("Pt")),
    "Pb-fcc": (FM3M, 4.9508, None, _one("Pb")),
    "Fe-bcc": (IM3M, 2.8665, None, _one("Fe")),
    "W-bcc": (IM3M, 3.1652, None, _one("W")),
    "Na-bcc": (IM3M, 4.2906, None, _one("Na")),
    "Po-simple-cubic": (PM3M, 3.359, None, _one("Po")),
    "Mg-hcp": (HCP, 3.2094, 5.2108, _hcp("Mg")),
    "Ti-hcp": (HCP, 2.9508, 4.6855, _hcp("Ti")),
    "Zn-hcp": (HCP, 2.6649, 4.9468, _hcp("Zn")),
    # intermetallics and superconductors
    "NiAl-B2": (PM3M, 2.887, None, [("Ni", 0.0, 0.0, 0.0), ("Al", 0.5, 0.5, 0.5)]),
    "Cu3Au-L12": (PM3M, 3.747, None, [("Au", 0.0, 0.0, 0.0), ("Cu", 0.0, 0.5, 0.5)]),
    "Nb3Sn-A15": ((223, "Pm-3n"), 5.289, None, [("Sn", 0.0, 0.0, 0.0), ("Nb", 0.25, 0.0, 0.5)]),
    "MgB2": ((191, "P6/mmm"), 3.0864, 3.5217, [("Mg", 0.0, 0.0, 0.0), ("B", 1 / 3, 2 / 3, 0.5)]),
    "LaB6": (PM3M, 4.1569, None, [("La", 0.0, 0.0, 0.0), ("B", 0.1993, 0.5, 0.5)]),
    # semiconductors
    "C-diamond": (FD3M, 3.5668, None, [("C", 0.125, 0.125, 0.125)]),
    "Si-diamond": (FD3M, 5.4310, None, [("Si", 0.125, 0.125, 0.125)]),
    "Ge-diamond": (FD3M, 5.6579, None, [("Ge", 0.125, 0.125, 0.125)]),
    "GaAs": (F43M, 5.6533, None, _zinc_blende("Ga", "As")),
    "InP": (F43M, 5.8687, None, _zinc_blende("In", "P")),
    "ZnS-sphalerite": (F43M, 5.4102, None, _zinc_blende("Zn", "S")),
    "CdTe": (F43M, 6.482, None, _zinc_blende("Cd", "Te")),
    "SiC-3C": (F43M, 4.3596, None, _zinc_blende("Si", "C")),
    "GaN-wurtzite": (WURTZITE, 3.189, 5.185, _wurtzite("Ga", "N", 0.376)),
    "ZnO-wurtzite": (WURTZITE, 3.2498, 5.2066, _wurtzite("Zn", "O", 0.3821)),
    # ionic
    "NaCl": (FM3M, 5.6402, None, _rock_salt("Na", "Cl")),
    "LiF": (FM3M, 4.0263, None, _rock_salt("Li", "F")),
    "KBr": (FM3M, 6.600, None, _rock_salt("K", "Br")),
    "MgO": (FM3M, 4.2112, None, _rock_salt("Mg", "O")),
    "CsCl": (PM3M, 4.123, None, [("Cs", 0.0, 0.0, 0.0), ("Cl", 0.5, 0.5, 0.5)]),
    "CaF2": (FM3M, 5.4626, None, [("Ca", 0.0, 0.0, 0.0), ("F", 0.25, 0.25, 0.25)]),
    "SrTiO3": (PM3M, 3.905, None, [("Sr", 0.0, 0.0, 0.0), ("Ti", 0.5, 0.5, 0.5), ("O", 0.5, 0.5, 0.0)]),
    "TiO2-rutile": ((136, "P4_2/mnm"), 4.5937, 2.9587, [("Ti", 0.0, 0.0, 0.0), ("O", 0.3048, 0.3048, 0.0)]),
    "Cu2O": ((224, "Pn-3m"), 4.2696, None, [("Cu", 0.0, 0.0, 0.0), ("O", 0.25, 0.25, 0.25)]),
    "FeS2-pyrite": ((205, "Pa-3"), 5.418, None, [("Fe", 0.0, 0.0, 0.0), ("S", 0.3848, 0.3848, 0.3848)]),
    "Al2O3-corundum": ((167, "R-3c"), 4.7589, 12.991, [("Al", 0.0, 0.0, 0.3523), ("O", 0.3064, 0.0, 0.25)]),
    "SiO2-quartz": (
        (154, "P3_221"),
        4.9134,
        5.4052,
        [("Si", 0.4697, 0.0, 2 / 3), ("O", 0.4135, 0.2669, 0.7858)],
    ),
    "MgAl2O4-spinel": (
        FD3M,
        8.0831,
        None,
        [("Mg", 0.125, 0.125, 0.125), ("Al", 0.5, 0.5, 0.5), ("O", 0.2624, 0.2624, 0.2624)],
    ),
    # layered
    "C-graphite": (HCP, 2.4612, 6.7079, [("C", 0.0, 0.0, 0.25), ("C", 1 / 3, 2 / 3, 0.25)]),
    "BN-hexagonal": (HCP, 2.504, 6.661, [("B", 1 / 3, 2 / 3, 0.25), ("N", 1 / 3, 2 / 3, 0.75)]),
    "MoS2-2H": (HCP, 3.1604, 12.295, [("Mo", 1 / 3, 2 / 3, 0.25), ("S", 1 / 3, 2 / 3, 0.621)]),
    "Bi2Te3": (
        (166, "R-3m"),
        4.3835,
        30.487,
        [("Te", 0.0, 0.0, 0.0), ("Bi", 0.0, 0.0, 0.4), ("Te", 0.0, 0.0, 0.212)],
    ),
    # noble gases
    "Ne-fcc": (FM3M, 4.4637, None, _one("Ne")),
    "Xe-fcc": (FM3M, 6.132, None, _one("Xe")),
}

# Cells as databases are full of, which :mod:`make_manifest` leaves out; coordinates are those of published
# refinements, rounded
LARGER: dict[str, tuple[tuple[int, str], float, float | None, list[Site]]] = {
    "Y3Al5O12-garnet": (
        (230, "Ia-3d"),
        12.000,
        None,
        [
            ("Y", 0.125, 0.0, 0.25),
            ("Al", 0.0, 0.0, 0.0),
            ("Al", 0.375, 0.0, 0.25),
            ("O", 0.9694, 0.0512, 0.15),
        ],
    ),
    "Mg3Al2Si3O12-pyrope": (
        (230, "Ia-3d"),
        11.459,
        None,
        [
            ("Mg", 0.125, 0.0, 0.25),
            ("Al", 0.0, 0.0, 0.0),
            ("Si", 0.375, 0.0, 0.25),
            ("O", 0.0329, 0.0502, 0.6534),
        ],
    ),
    "In2O3-bixbyite": (
        (206, "Ia-3"),
        10.117,
        None,
        [("In", 0.25, 0.25, 0.25), ("In", 0.4662, 0.0, 0.25), ("O", 0.3905, 0.1529, 0.3832)],
    ),
    "Y2Ti2O7-pyrochlore": (
        FD3M,
        10.0949,
        None,
        [
            ("Ti", 0.0, 0.0, 0.0),
            ("Y", 0.5, 0.5, 0.5),
            ("O", 0.3281, 0.125, 0.125),
            ("O", 0.375, 0.375, 0.375),
        ],
    ),
    "Na4Al3Si3O12Cl-sodalite": (
        (218, "P-43n"),
        8.882,
        None,
        [
            *(("Na", 0.1777, 0.1777, 0.1777), ("Cl", 0.0, 0.0, 0.0), ("Al", 0.25, 0.0, 0.5)),
            *(("Si", 0.25, 0.5, 0.0), ("O", 0.1390, 0.1494, 0.4383)),
        ],
    ),
    "Cs2AgBiBr6": (
        FM3M,
        11.2711,
        None,
        [("Ag", 0.0, 0.0, 0.0), ("Bi", 0.5, 0.5, 0.5), ("Cs", 0.25, 0.25, 0.25), ("Br", 0.2513, 0.0, 0.0)],
    ),
    "K2PtCl6": (
        FM3M,
        9.755,
        None,
        [("Pt", 0.0, 0.0, 0.0), ("K", 0.25, 0.25, 0.25), ("Cl", 0.2417, 0.0, 0.0)],
    ),
    "Al12W": ((204, "Im-3"), 7.580, None, [("W", 0.0, 0.0, 0.0), ("Al", 0.0, 0.184, 0.309)]),
    "Mg17Al12": (
        (217, "I-43m"),
        10.544,
        None,
        [
            *(("Mg", 0.0, 0.0, 0.0), ("Mg", 0.324, 0.324, 0.324)),
            *(("Mg", 0.3582, 0.3582, 0.0393), ("Al", 0.0954, 0.0954, 0.2725)),
        ],
    ),
    "TiO2-anatase": ((141, "I4_1/amd"), 3.7845, 9.5143, [("Ti", 0.0, 0.25, 0.375), ("O", 0.0, 0.25, 0.1668)]),
    "ZrSiO4-zircon": (
        (141, "I4_1/amd"),
        6.607,
        5.982,
        [("Zr", 0.0, 0.75, 0.125), ("Si", 0.0, 0.25, 0.375), ("O", 0.0, 0.0661, 0.1953)],
    ),
    "CaWO4-scheelite": (
        (88, "I4_1/a"),
        5.243,
        11.376,
        [("Ca", 0.0, 0.25, 0.625), ("W", 0.0, 0.25, 0.125), ("O", 0.1504, 0.0086, 0.2111)],
    ),
    "Sr2TiO4": (
        (139, "I4/mmm"),
        3.886,
        12.60,
        [("Ti", 0.0, 0.0, 0.0), ("Sr", 0.0, 0.0, 0.355), ("O", 0.0, 0.5, 0.0), ("O", 0.0, 0.0, 0.162)],
    ),
    "CuInSe2-chalcopyrite": (
        (122, "I-42d"),
        5.784,
        11.616,
        [("Cu", 0.0, 0.0, 0.0), ("In", 0.0, 0.0, 0.5), ("Se", 0.226, 0.25, 0.125)],
    ),
    "Cu2ZnSnS4-kesterite": (
        (82, "I-4"),
        5.434,
        10.856,
        [
            *(("Cu", 0.0, 0.0, 0.0), ("Cu", 0.0, 0.5, 0.25), ("Zn", 0.0, 0.5, 0.75)),
            *(("Sn", 0.0, 0.0, 0.5), ("S", 0.7560, 0.7566, 0.8722)),
        ],
    ),
    "CH4N2O-urea": (
        (113, "P-42_1m"),
        5.576,
        4.692,
        [
            *(("C", 0.0, 0.5, 0.3260), ("O", 0.0, 0.5, 0.5953), ("N", 0.1459, 0.6459, 0.1766)),
            *(("H", 0.2575, 0.7575, 0.2827), ("H", 0.1441, 0.6441, 0.9620)),
        ],
    ),
    "CaCO3-calcite": (
        (167, "R-3c"),
        4.9896,
        17.061,
        [("Ca", 0.0, 0.0, 0.0), ("C", 0.0, 0.0, 0.25), ("O", 0.2568, 0.0, 0.25)],
    ),
    "MgCO3-magnesite": (
        (167, "R-3c"),
        4.6328,
        15.0129,
        [("Mg", 0.0, 0.0, 0.0), ("C", 0.0, 0.0, 0.25), ("O", 0.2778, 0.0, 0.25)],
    ),
    "LiNbO3": (
        (161, "R3c"),
        5.1483,
        13.8631,
        [("Nb", 0.0, 0.0, 0.0), ("Li", 0.0, 0.0, 0.2787), ("O", 0.0492, 0.3446, 0.0647)],
    ),
    "AlPO4-berlinite": (
        (152, "P3_121"),
        4.943,
        10.948,
        [
            *(("Al", 0.4664, 0.0, 1 / 3), ("P", 0.4669, 0.0, 5 / 6)),
            *(("O", 0.4163, 0.2922, 0.3976), ("O", 0.4156, 0.2576, 0.8837)),
        ],
    ),
    "Be3Al2Si6O18-beryl": (
        (192, "P6/mcc"),
        9.215,
        9.192,
        [
            *(("Be", 0.5, 0.0, 0.25), ("Al", 2 / 3, 1 / 3, 0.25), ("Si", 0.3875, 0.1158, 0.0)),
            *(("O", 0.3100, 0.2366, 0.0), ("O", 0.4988, 0.1455, 0.1453)),
        ],
    ),
    "Si3N4-beta": (
        (176, "P6_3/m"),
        7.608,
        2.911,
        [("Si", 0.1744, 0.7694, 0.25), ("N", 1 / 3, 2 / 3, 0.25), ("N", 0.3298, 0.0310, 0.25)],
    ),
    "Ca5P3O12F-apatite": (
        (176, "P6_3/m"),
        9.397,
        6.878,
        [
            *(("Ca", 1 / 3, 2 / 3, 0.001), ("Ca", 0.9929, 0.2423, 0.25), ("P", 0.3981, 0.3688, 0.25)),
            *(("O", 0.3262, 0.4843, 0.25), ("O", 0.5880, 0.4668, 0.25), ("O", 0.3415, 0.2569, 0.0704)),
            ("F", 0.0, 0.0, 0.25),
        ],
    ),
    "MgZn2-Laves": (
        HCP,
        5.221,
        8.567,
        [("Mg", 1 / 3, 2 / 3, 0.062), ("Zn", 0.0, 0.0, 0.0), ("Zn", 0.830, 0.660, 0.25)],
    ),
    "CaCu5": (
        (191, "P6/mmm"),
        5.082,
        4.078,
        [("Ca", 0.0, 0.0, 0.0), ("Cu", 1 / 3, 2 / 3, 0.0), ("Cu", 0.5, 0.0, 0.5)],
    ),
}

# CIF has no word for periodicity, extended XYZ has: one layer of graphene, periodic in its plane only
GRAPHENE = """\
2
Lattice="2.4612 0.0 0.0 -1.2306 2.13146 0.0 0.0 0.0 15.0" Properties=species:S:1:pos:R:3 pbc="T T F"
C 0.0 0.0 7.5
C 0.0 1.420974 7.5
"""


def cif(name: str) -> str:
    """The text of one example's CIF file."""
    (number, symbol), a, c, sites = (CRYSTALS | LARGER)[name]
    hexagonal = 143 <= number <= 194
    lines = [
        f"data_{name}",
        f"_symmetry_space_group_name_H-M   '{symbol}'",
        f"_symmetry_Int_Tables_number      {number}",
        f"_cell_length_a      {a}",
        f"_cell_length_b      {a}",
        f"_cell_length_c      {c or a}",
        "_cell_angle_alpha   90",
        "_cell_angle_beta    90",
        f"_cell_angle_gamma   {120 if hexagonal else 90}",
        "loop_",
        "_symmetry_equiv_pos_as_xyz",
        *(f"'{operation}'" for operation in _operations(number)),
        "loop_",
        "_atom_site_label",
        "_atom_site_type_symbol",
        "_atom_site_fract_x",
        "_atom_site_fract_y",
        "_atom_site_fract_z",
        *(f"{s}{i} {s} {x:.6f} {y:.6f} {z:.6f}" for i, (s, x, y, z) in enumerate(sites, start=1)),
    ]
    return "\n".join(lines) + "\n"


def _operations(number: int) -> list[str]:
    """All operations of the standard setting (origin at the inversion centre, hexagonal axes)."""
    import spglib

    for hall in range(1, 531):
        kind = spglib.get_spacegroup_type(hall)
        if kind.number == number and kind.choice in ("", "2", "H"):
            break
    table = spglib.get_symmetry_from_database(hall)
    return [
        ",".join(_coordinate(row, shift) for row, shift in zip(rotation, translation, strict=True))
        for rotation, translation in zip(table["rotations"], table["translations"], strict=True)
    ]


def _coordinate(row: list[int], shift: float) -> str:
    from fractions import Fraction

    terms = "".join(f"{'+' if f > 0 else '-'}{axis}" for f, axis in zip(row, "xyz", strict=True) if f)
    fraction = Fraction(float(shift)).limit_denominator(12) % 1
    return terms.removeprefix("+") + (f"+{fraction}" if fraction else "")


def main() -> None:
    """Write all examples."""
    folder = Path(__file__).parent / "structures"
    folder.mkdir(exist_ok=True)
    for name in CRYSTALS | LARGER:
        (folder / f"{name}.cif").write_text(cif(name), encoding="utf-8")
    (folder / "C-graphene.xyz").write_text(GRAPHENE, encoding="utf-8")
    print(f"{len(CRYSTALS) + len(LARGER) + 1} structures in {folder}")


if __name__ == "__main__":
    main()
