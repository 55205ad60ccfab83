"""Every file of the development cases: the right crystal, or a refusal with its code.

The names say the condition; the crystals were worked out by hand, from what the files state.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from goldilocks_batch.core.errors import ErrorCode as E
from goldilocks_batch.results.schema import FLAGS
from goldilocks_batch.structures.crystal import formula
from goldilocks_batch.structures.sources.files import read_text
from goldilocks_batch.structures.sources.formats import format_of
from tests.structure_texts import outcome

#: Groups of files with what they hold: formula, sites, flags; or the code of the refusal.
CASES: dict[str, dict[str, tuple[str, int, set[str]] | E]] = {
    "cif": {
        **dict.fromkeys(("bi_h", "bi_hcH", "bi_hsH"), ("Bi", 6, set())),
        **dict.fromkeys(("bi_r3m", "bi_r3mcR"), ("Bi", 2, set())),
        **dict.fromkeys(
            ("bom", "cr_only", "crlf", "ddlm", "hall_only", "hm_alt_only", "hm_dotref", "hm_m3m",
                "hm_only", "itnum_old",
             "itnum_only", "latin1", "upper", "utf16", "occ_1", "occ_1e", "occ_dot", "occ_q"),
            ("NaCl", 8, set()),
        ),
        **dict.fromkeys(("crlf_p1", "global"), ("CsCl", 2, set())),
        "d2o": ("H2O", 3, set()), "dsym": ("LiH", 2, set()),
        **dict.fromkeys(("lab_A1", "lab_M1", "lab_T1", "lab_CO1", "lab_Ho", "typ_dot", "typ_q"),
            E.SPECIES_UNKNOWN),
        **dict.fromkeys(("lab_OH", "lab_Oh", "lab_Ow", "lab_Wat"), E.HYDROGENS_MISSING),
        "lab_Cu1p": ("CuCl", 2, set()), "lab_Fe3p": ("FeO", 2, {"charged"}), "lab_FeT": ("FeO", 2, set()),
        "lab_Mguc": ("MgO", 2, set()), "lab_NA1": ("NaCl", 2, set()), "lab_O1A": ("MgO", 2, set()),
        **dict.fromkeys(("near_sp_002", "near_sp_02", "near_sp_10", "near_sp_30"), ("TiO2", 6,
            {"special_position_completed"})),
        "near_sp_60": E.CONTENT_MISMATCH,
        **dict.fromkeys(("ni3s2_r32r_rho", "ni3s2_r32sR_rho"), ("Ni3S2", 5, set())),
        "nosym": ("NaCl", 2, {"symmetry_assumed_p1"}),
        "occ_0": E.PARTIAL_OCCUPANCY, "occ_098": E.PARTIAL_OCCUPANCY, "occ_102": E.OCCUPANCY_INVALID,
        **dict.fromkeys(("occ_10001", "occ_9999"), ("NaCl", 8, {"occupancy_rounded"})),
        **dict.fromkeys(("ox", "ox2", "typ_UCop"), ("FeO", 2, {"charged"})),
        **dict.fromkeys(("pbnm_hm", "pbnm_hm_it"), ("CaTiO3", 20, set())), "pbnm_it": E.SYMMETRY_AMBIGUOUS,
        "sev": E.SEVERAL_STRUCTURES,
        **dict.fromkeys(("si_amb1", "si_amb2"), ("Si", 8, {"symmetry_resolved"})),
        **dict.fromkeys(("si_o1", "si_o2", "si_o2z"), ("Si", 8, set())), "spinel_amb1": ("MgAl2O4", 56,
            {"symmetry_resolved"}),
        **dict.fromkeys(("third_3", "third_3b"), ("Mg", 2, {"special_position_completed"})),
        **dict.fromkeys(("third_4", "third_4b", "third_frac"), ("Mg", 2, set())),
        "typ_0p": ("AlFe", 2, set()), "typ_CO": ("CoO", 2, set()), "typ_SI": ("SiC", 2, set()),
            "typ_UC": ("NaCl", 2, set()),
        "typ_iso": ("LiF", 2, set()), "typ_lc": ("MgO", 2, set()), "typ_num": ("FeO", 2, set()),
        "unk_hm_only": E.SYMMETRY_UNKNOWN,
        **dict.fromkeys(("zro2_p121c1", "zro2_p21c", "zro2_p21c_lo", "zro2_p21n_asc"), ("ZrO2", 12, set())),
    },
    "cif2": {
        "alloy": E.PARTIAL_OCCUPANCY, "ase_full": ("NaCl", 8, set()), "atth": E.HYDROGENS_MISSING,
            "cart": E.NO_STRUCTURE,
        "close": E.ATOMS_OVERLAP, "close5": E.ATOMS_OVERLAP, "dup": E.ATOMS_OVERLAP,
            "disord_neg": E.PARTIAL_OCCUPANCY,
        **dict.fromkeys(
            ("comment", "dataonly", "f_charge", "f_comma", "f_empty", "f_next", "f_q", "f_unq",
                "frac_missing_label", "longcif",
             "plusexp", "quoted", "semi", "semi2"),
            ("CsCl", 2, set()),
        ),
        **dict.fromkeys(("f_fe2o3", "f_round"), ("Fe2O3", 30, set())),
        "h_ok": ("Ca(HO)2", 5, set()), "noh_geom": E.HYDROGENS_MISSING, "noh_last": E.HYDROGENS_MISSING,
        "hm_q": ("NaCl", 2, {"symmetry_assumed_p1"}), "mag.mcif": ("MnO", 2, {"magnetic"}),
            "mult": E.CONTENT_MISMATCH,
        "near02": ("TiO2", 6, {"special_position_completed"}), "near30": E.ATOMS_OVERLAP,
            "nodata": E.PARSE_FAILED,
        **dict.fromkeys(("ops_bad", "ops_bad_nohm", "ops_case", "ops_unq"), ("NaCl", 8, set())),
        "ops_dec": ("Bi", 6, set()), "ops_one_hm": E.SYMMETRY_CONTRADICTORY, "oxloop": ("FeO", 2,
            {"charged"}),
        **dict.fromkeys(("pmg_cut1", "pmg_cut1u", "pmg_cut2", "pmg_cutmid"), E.PARSE_FAILED),
            "pmg_full": ("SrTiO3", 5, set()),
        "single": ("Fe", 2, set()), "tetr": ("CsCl", 2, {"angles_assumed"}),
    },
    "cif3": {
        **dict.fromkeys(("amcsd_oh", "amcsd_oh2", "oh_type"), E.HYDROGENS_MISSING), "oh_occ": ("MgO", 2,
            {"hydrogens_missing"}),
        **dict.fromkeys(("fcf", "llm", "nocent", "notgroup"), E.SYMMETRY_CONTRADICTORY),
        "no3": E.SPECIES_UNKNOWN, "tsite": E.SPECIES_UNKNOWN, "vesta": ("TiO2", 6, set()),
        **dict.fromkeys(("op_loopinline", "op_single", "op_single_q"), ("CsCl", 2, set())),
    },
    "poscar": {
        **dict.fromkeys(
            ("POSCAR~", "Si_POSCAR", "my", "bom", "cart_scale", "comm", "cr", "crlf", "dexp",
                "direct_typo", "emptyfirst", "gw", "hash",
             "latvel", "lower", "negscale", "negscale_cart", "numrich", "pv", "scale3", "scale3_cart",
                 "sd", "sd_lower", "slash",
             "spacefirst", "symcol", "symcount", "upper", "v4_sym", "v5", "vel", "vel_pred", "zerocount"),
            ("CsCl", 2, set()),
        ),
        "D": ("LiH", 2, set()), "Fe3plus": ("FeO", 2, set()), "left": ("CsCl", 2, {"left_handed_cell"}),
        **dict.fromkeys(("v4", "v4_sd", "v4_trailT"), ("CsCl", 2, {"species_from_comment"})),
        "longel": ("CsRbBrCl", 4, set()), "rep": ("CsCl", 4, set()),
        **dict.fromkeys(("X", "h125", "v4_form"), E.SPECIES_UNKNOWN), "symmis": E.CONTENT_MISMATCH,
            "zero": E.LATTICE_ZERO,
        **dict.fromkeys(("few", "fused", "many", "noblank", "nocoordtype"), E.PARSE_FAILED),
    },
    "xyz": {
        **dict.fromkeys(
            ("Zonly", "bom", "bothZ", "crlf", "crlf2", "crlf3", "dollar", "fort", "info_json", "labels",
                "lat_arr", "lat_curly",
             "lat_tri", "latlower", "lowersym", "molsp", "noprop", "ok", "order", "pbcT", "pbcTTF",
                 "pbc_110", "pbc_F", "pbc_arr",
             "pbc_cap", "pbc_nq", "pbc_true", "posfirst", "propQuoted", "proplower", "stress6", "tab",
                 "vir6"),
            ("CsCl", 2, set()),
        ),
        "cols": ("CsCl", 2, {"magnetic"}), "z0": ("C", 2, {"cell_completed"}), "zerolat": ("CsCl", 2,
            {"cell_completed"}),
        **dict.fromkeys(("cell", "plain", "plain_empty"), E.LATTICE_ZERO), **dict.fromkeys(("few", "lat3",
            "more"), E.PARSE_FAILED),
        "X": E.SPECIES_UNKNOWN, "frames": E.SEVERAL_STRUCTURES, "nan": E.NOT_FINITE,
            "zeroatoms": E.NO_STRUCTURE,
    },
    "json": {
        **dict.fromkeys(("bom", "entry", "list1", "mpdoc", "noabc", "nomatrix", "occ9", "ok", "ox", "str",
            "v0", "jarvis", "optimade"), ("CsCl", 2, set())),
        "D": ("LiH", 2, set()), "charge": ("CsCl", 2, {"charged"}), "graphene": ("C", 2, set()),
            "left": ("CsCl", 2, {"left_handed_cell"}),
        **dict.fromkeys(("mag", "spin"), ("CsCl", 2, {"magnetic"})), "occ9999": ("CsCl", 2,
            {"occupancy_rounded"}),
        "alloy": E.PARTIAL_OCCUPANCY, "conflict": E.CONTENT_MISMATCH, "cut": E.PARSE_FAILED,
            "dummy": E.SPECIES_UNKNOWN,
        **dict.fromkeys(("dict_ids", "list2"), E.SEVERAL_STRUCTURES), "nan": E.NOT_FINITE,
        **dict.fromkeys(("metadata", "mol"), E.NO_STRUCTURE),
    },
    "dist": {"afe": ("BaTiO3", 10, set()), "rattled": ("Al", 16, set())},
}  # fmt: skip

#: Periodicity that files state, where it is not along all axes.
PERIODIC = {"pbcTTF": "TTF", "pbc_110": "TTF", "pbc_F": "FFF", "pbc_arr": "TTF", "pbc_cap": "TTF",
    "pbc_nq": "TTF",
            "pbc_true": "TTF", "z0": "TTF", "zerolat": "FFF", "graphene": "TTF"}  # fmt: skip
OTHER_FILES = {"POSCAR.bz2", "POSCAR.gz", "POSCAR2cif.py", "poscar_notes.txt", "si.cif.gz", "longcif.cif"}


@pytest.mark.shared
@pytest.mark.parametrize("group", CASES)
def test_every_file(group: str, shared: Path) -> None:
    seen = set()
    for path in sorted((shared / "cases" / group).iterdir()):
        name = path.name if path.name in ("POSCAR~", "Si_POSCAR") else path.stem
        text_format = format_of(path.name) or format_of("POSCAR")
        if path.name in OTHER_FILES - {"longcif.cif"}:
            continue
        seen.add(name)
        assert text_format is not None
        expected = CASES[group][name]
        found = outcome(read_text(path), text_format)
        if isinstance(found, E):
            assert found is expected, path.name
            continue
        assert not isinstance(expected, E), f"{path.name}: {formula(found.crystal.numbers)} accepted"
        assert (formula(found.crystal.numbers), len(found.crystal), set(found.flags)) == expected, path.name
        assert set(found.flags) <= set(FLAGS)
        periodic = "".join("T" if axis else "F" for axis in found.crystal.pbc)
        assert periodic == PERIODIC.get(name, "TTT"), path.name
        if expected[:2] == ("CsCl", 2) and name not in ("lat_tri", "crlf_p1", "global", "zerolat"):
            apart = found.crystal.cart[1] - found.crystal.cart[0]
            np.testing.assert_allclose(np.abs(apart), 2.06, atol=1e-6, err_msg=path.name)
    assert seen == set(CASES[group])
