"""The page as a whole: what is on it, and what nothing from an input can do to it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goldilocks_batch import write_report
from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.models.constant import AIIDA_BALANCED
from goldilocks_batch.report.advice import ADVICE, meaning_of
from goldilocks_batch.report.view import AIIDA
from goldilocks_batch.results.folder import RunFolder
from goldilocks_batch.results.part import write_part
from goldilocks_batch.results.parts import Parts, Scan
from goldilocks_batch.results.report import Report
from goldilocks_batch.results.shards import Shard
from tests.report_runs import FINGERPRINT, HOSTILE, folder_of, rows

_VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """The elements and the text of a page; elements must be closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(self.source)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"[ \n]+", " ", " ".join(self.words))

    def attributes(self, name: str) -> list[str]:
        return [found[name] or "" for _, found in self.elements if name in found]


def with_sources(sources: list[str]) -> pa.Table:
    """Rows that went well, from these."""
    table = rows(len(sources), failed=0.0)
    place = table.schema.get_field_index("source")
    return table.set_column(place, table.schema.field(place), [sources])


def page_of(folder: Path) -> Page:
    return Page(write_report(folder).path)


def test_what_was_asked_and_what_came_out_is_on_the_page(tmp_path: Path) -> None:
    table = rows(400, failed=0.2)
    failed = table["status"].to_pylist().count("failed")
    page = page_of(folder_of(tmp_path / "screening", table))
    text = page.text
    for words in (
        "screening",
        "400 structures",
        f"{failed} failed",
        "Confidence 0.95 is one-sided",
        "lie nominally 90",
        "0.177 as safe, a constant",
        "0.15 AiiDA balanced",
        "Quantile random forest, published",
        "arXiv:2512.15303",
        "CC BY 4.0",
        "0123abcd",
        "goldilocks-batch 1.2.3",
        "700 MiB",
        "features.physics",
        "P6₃/mmc",
        "Al₂O₃",
    ):
        assert words in text, words
    assert text.count("rf at 0.95") == text.count("constant 0.177 1/Å, as safe") == 2
    done = [row for row in table.to_pylist() if not row["error_code"]]
    work, constant, aiida = (
        sum(row[f"{mesh}n_kpoints_irreducible"] * row["n_sites"] ** 2 for row in done)
        for mesh in ("", "constant_", "aiida_")
    )
    assert f"{work / constant - 1:+.1%}" in text
    assert f"{work / aiida - 1:+.1%}" in text
    codes = {code for code in table["error_code"].to_pylist() if code}
    assert all(code in text and meaning_of(code)[1].split("`")[0].strip() in text for code in codes)
    assert len([1 for tag, _ in page.elements if tag == "svg"]) >= 8
    assert sum("el" in (found.get("class") or "").split() for _, found in page.elements) == 3 * 118


@pytest.mark.parametrize(
    ("count", "failed", "expected"), [(0, 0.0, 50), (1, 0.0, 1), (5, 1.0, 5), (60, 0.1, 100), (1, 1.0, 1)]
)
def test_every_kind_of_run_has_a_page(tmp_path: Path, count: int, failed: float, expected: int) -> None:
    folder = folder_of(tmp_path / "run", rows(count, failed=failed), expected=expected)
    written = write_report(folder)
    assert (written.rows, written.missing) == (count, expected - count)
    page = Page(written.path)
    assert ("This run is not complete." in page.text) == (count < expected)
    assert ("No row went well" in page.text) == (failed == 1.0 or count == 0)
    assert "nan" not in page.text.split()
    assert "None" not in page.text.split()


def test_nothing_from_an_input_is_taken_for_markup(tmp_path: Path) -> None:
    table = rows(300, failed=0.3, hostile=True)
    plain = page_of(folder_of(tmp_path / "plain", rows(300, failed=0.3)))
    page = page_of(
        folder_of(
            tmp_path / "<b>run'\"&",
            table,
            config={"inputs": [HOSTILE], "model": HOSTILE},
            inputs=[{"path": HOSTILE, "kind": HOSTILE, "rows": 3, HOSTILE: {HOSTILE: [HOSTILE]}}],
            model={"model": HOSTILE, "confidence": HOSTILE, "correction_origin": HOSTILE,
                   "files": [{"role": HOSTILE, "path": HOSTILE, "sha256": HOSTILE}]},
            resolved={"remarks": [HOSTILE]},
            versions={HOSTILE: HOSTILE},
        )
    )  # fmt: skip
    kinds = {tag for tag, _ in page.elements}
    assert kinds <= {tag for tag, _ in plain.elements}
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    assert "<script>window.stolen" not in page.source
    assert "\u202e" not in page.source
    assert "{{7*7}}" in page.text
    assert HOSTILE.replace("\u202e", "\ufffd") in "".join(page.words)


def test_only_files_and_web_addresses_become_links(tmp_path: Path) -> None:
    sources = [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example/x",
        "http://",
        "https://[",
        "a.cif",
        "/\x00x",
    ]
    page = page_of(folder_of(tmp_path / "run", with_sources(sources)))
    hrefs = [found["href"] for tag, found in page.elements if tag == "a" and "rel" in found]
    assert hrefs == ["https://github.com/goldilocks-batch/goldilocks-batch"]


def test_rows_lead_to_where_they_came_from(tmp_path: Path) -> None:
    file = tmp_path / "odd : name?#.cif"
    file.write_text("data_x")
    sources = [f"{file}", f"{file}:member", "https://example.org/optimade/v1/structures/1"]
    page = page_of(folder_of(tmp_path / "run", with_sources(sources)))
    hrefs = [found["href"] for tag, found in page.elements if tag == "a" and "rel" in found]
    assert {file.as_uri(), sources[2]} <= set(hrefs)
    assert hrefs.count(file.as_uri()) == 2 * hrefs.count(sources[2])


@pytest.mark.parametrize("column", ["url", "source"])
def test_a_manifest_tells_the_origin_of_its_rows(tmp_path: Path, column: str) -> None:
    manifest = tmp_path / "fetched.parquet"
    origins = [
        "https://example.org/0",
        "https://example.org/1",
        "javascript:alert(1)",
        "https://example.org/3",
    ]
    made = pa.table({"id": ["id-0", "other", "id-2", "id-3"], column: origins})
    made = made.replace_schema_metadata({"provider": "MC3D", "licence": '"CC BY 4.0"', "pandas": "x"})
    pq.write_table(made, manifest, row_group_size=2)
    sources = [f"{manifest}:{row}" for row in range(4)]
    about = {"path": str(manifest), "kind": "manifest", "rows": 4}
    page = page_of(folder_of(tmp_path / "run", with_sources(sources), inputs=[about]))
    hrefs = {found["href"] for tag, found in page.elements if tag == "a" and "rel" in found}
    assert {origins[0], origins[3], manifest.as_uri()} <= hrefs
    assert origins[1] not in hrefs  # the row has another id by now
    assert origins[2] not in hrefs
    assert "Provider MC3D" in page.text
    assert "Licence CC BY 4.0" in page.text


def test_databases_are_named_with_their_licences(tmp_path: Path) -> None:
    provider = {"name": "mc3d", "url": "https://example.org/optimade", "rows": 2, "license": "CC BY 4.0"}
    databases = {
        "fetched": "2026-11-28T12:00:00+00:00",
        "filter": 'elements HAS "Si"',
        "providers": [provider],
    }
    about = {"path": "/nowhere/a.parquet", "kind": "manifest", "rows": 2, "databases": databases}
    page = page_of(folder_of(tmp_path / "run", rows(2), inputs=[about]))
    for words in ("mc3d 2 CC BY 4.0", 'elements HAS "Si"', "2026-11-28 12:00:00 UTC"):
        assert words in page.text
    assert "https://example.org/optimade" in page.attributes("href")
    odd = about | {"databases": {"providers": [3, {"url": "javascript:alert(1)"}], "filter": [HOSTILE]}}
    page = page_of(folder_of(tmp_path / "odd", rows(2), inputs=[odd, about | {"databases": "x"}]))
    assert not [href for href in page.attributes("href") if "javascript" in href]


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = page_of(folder_of(tmp_path / "run", rows(200)))
    assert not page.attributes("src")
    assert [found for tag, found in page.elements if tag == "link"] == [{"rel": "icon", "href": "data:,"}]
    assert "@import" not in page.source
    assert not re.findall(r"url\((?!#)", page.source)
    (script,) = re.findall(r"<script>(.*?)</script>", page.source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [found["content"] or "" for _, found in page.elements if "http-equiv" in found]
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_ids_of_elements_are_used_once_and_sections_are_linked(tmp_path: Path) -> None:
    page = page_of(folder_of(tmp_path / "run", rows(300)))
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    inner = [found["href"] for tag, found in page.elements if tag == "a" and "rel" not in found]
    assert len(inner) == 9
    assert {str(href)[1:] for href in inner} <= set(ids)


def test_the_page_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    few = write_report(folder_of(tmp_path / "few", rows(500)))
    many = write_report(folder_of(tmp_path / "many", rows(5000)))
    assert many.size < 1.3 * few.size
    assert many.size < 600_000


def test_a_page_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", rows(20))
    page = write_report(folder).path
    assert page == folder / "report.html"
    assert write_report(folder, page).path == page
    other = tmp_path / "mine.html"
    other.write_text("<html>my own</html>")
    with pytest.raises(RunError, match="no report of a run") as refused:
        write_report(folder, other)
    assert refused.value.code == ErrorCode.OUTPUT_EXISTS
    assert other.read_text() == "<html>my own</html>"
    assert write_report(folder, tmp_path / "new" / "page.html").path.exists()


def test_what_is_no_run_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError) as refused:
        write_report(tmp_path)
    assert refused.value.code == ErrorCode.RESUME_REFUSED
    folder = folder_of(tmp_path / "run", rows(2000), parts=1)
    (part,) = (folder / "results").glob("*.parquet")
    data = bytearray(part.read_bytes())
    data[1000:1400] = bytes(400)
    part.write_bytes(data)
    with pytest.raises(RunError) as damaged:
        write_report(folder)
    assert damaged.value.code == ErrorCode.ROWS_LOST
    assert not (folder / "report.html").exists()


def test_every_row_is_set_beside_its_own_constant(tmp_path: Path) -> None:
    table = rows(200, failed=0.0)
    small = [atoms <= 60 for atoms in table["n_sites_primitive"].to_pylist()]
    constants = [0.119 if few else 0.1769 for few in small]
    place = table.schema.get_field_index("constant_kdist")
    table = table.set_column(place, table.schema.field(place), [constants])
    denser = sum(k < c for k, c in zip(table["kdist"].to_pylist(), constants, strict=True)) / 2
    told = {"small_constant": [60, 0.119]}
    text = page_of(folder_of(tmp_path / "run", table, resolved=told)).text
    assert "0.119 1/Å for cells of up to 60 atoms and 0.177 1/Å for larger cells" in text
    assert f"{denser:.{int(denser < 10)}f}\N{NO-BREAK SPACE}% of the rows have denser meshes" in text
    assert "0.119 as safe, cells of up to 60 atoms" in text
    assert "constant 0.119 or 0.177 1/Å, as safe" in text
    unknown = page_of(folder_of(tmp_path / "unknown", table)).text
    assert f"0.119 as safe, {sum(small)} rows" in unknown


def test_a_run_may_be_compacted_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "run", rows(300), parts=5)
    scan = Parts.scan

    def compacted_after(parts: Parts) -> Scan:
        monkeypatch.setattr(Parts, "scan", scan)
        found = parts.scan()
        assert RunFolder.of(folder).compact() == (5, 1)
        return found

    monkeypatch.setattr(Parts, "scan", compacted_after)
    written = write_report(folder)
    assert (written.rows, written.missing) == (300, 0)


def test_records_of_older_versions_are_enough(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", rows(30), parts=0)
    shard, table = Shard(0, 30), rows(30).drop_columns(["training_distance", "flags", "constant_kdist"])
    write_part(folder / "results", shard, table, Report(30, 27), FINGERPRINT)
    record: dict[str, Any] = json.loads((folder / "run.json").read_text())
    kept = {key: record[key] for key in ("fingerprint", "rows", "state")}
    kept |= {"identity": {}, "attempts": [{"started": record["started"], "state": "killed"}]}
    (folder / "run.json").write_text(json.dumps(kept))
    text = page_of(folder).text
    assert "Model unknown" in text
    assert "Not recorded." in text


def test_every_failure_of_a_row_has_advice() -> None:
    assert set(ADVICE) == {code for code in ErrorCode if code.ends == "row"}
    assert meaning_of("FROM_THE_FUTURE") == ("", "")
    for text in ADVICE.values():
        assert text.endswith(".")
        assert text.count("`") % 2 == 0


def test_options_that_advice_names_are_there() -> None:
    from goldilocks_batch.config.run import RunConfig

    options = {name.replace("_", "-") for name in RunConfig.model_fields}
    for text in ADVICE.values():
        assert set(re.findall(r"--([\w-]+)", text)) <= options


def test_the_constant_of_the_results_is_among_those_marked() -> None:
    assert AIIDA["balanced"] == AIIDA_BALANCED
