"""Tables that lose nothing, whatever the width."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from goldilocks_batch.cli.tables import print_table, rounded

HEADINGS = ("id", "kdist", "meaning")
ROWS = [("Si-diamond", "0.1234", "the safe end of the interval"), ("x", "12.5", "")]


def printed(width: int, *, terminal: bool = True, **options: object) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=terminal, no_color=True, highlight=False
    )
    print_table(console, HEADINGS, ROWS, **options)  # type: ignore[arg-type]
    assert isinstance(console.file, io.StringIO)
    text = re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())
    return text.splitlines()


def test_what_fits_is_one_line_a_row() -> None:
    assert printed(80, right=("kdist",)) == [
        "id           kdist  meaning",
        "Si-diamond  0.1234  the safe end of the interval",
        "x             12.5",
    ]


def test_texts_are_wrapped_between_words_and_names_stay_whole() -> None:
    assert printed(32) == [
        "id          kdist   meaning",
        "Si-diamond  0.1234  the safe end",
        "                    of the",
        "                    interval",
        "x           12.5",
    ]


def test_names_of_columns_are_broken_at_their_words_only_where_there_is_no_room() -> None:
    def heading(width: int) -> list[str]:
        console = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True)
        print_table(console, ("id", "n_kpoints_irreducible"), [("Si", "56"), ("Al", "120")])
        assert isinstance(console.file, io.StringIO)
        return re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue()).splitlines()[:-2]

    assert heading(30) == ["id  n_kpoints_irreducible"], "as --sort and --columns take it"
    assert heading(20) == ["id  n kpoints", "    irreducible"]


def test_where_names_do_not_fit_beside_each_other_rows_are_lists() -> None:
    assert printed(20)[:3] == ["id       Si-diamond", "kdist    0.1234", "meaning  the safe "]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_nothing_is_lost(width: int) -> None:
    lines = printed(width, broken=("id",))
    text = " ".join(lines)
    assert all(word in text for row in ROWS for word in " ".join(row[1:]).split())
    assert "Si-diamond" in text.replace(" ", "")
    assert max(map(len, lines)) <= width


def test_a_pipe_has_no_width() -> None:
    assert printed(100_000, terminal=False)[1] == "Si-diamond  0.1234  the safe end of the interval"


@given(st.floats(1e-6, 1e9))
def test_rates_have_two_digits(rate: float) -> None:
    digits = rounded(rate).replace(",", "").replace(".", "").strip("0")
    assert len(digits) <= 2
    assert float(rounded(rate).replace(",", "")) == pytest.approx(rate, rel=0.06)


def test_no_rate_is_zero() -> None:
    assert rounded(0.0) == "0"
