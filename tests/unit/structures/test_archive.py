from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest

from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.sources import archive
from goldilocks_batch.structures.sources.reference import FailedPayload, Reference, TextPayload
from goldilocks_batch.structures.sources.sourceset import SourceSet, open_sources


def read_all(sources: SourceSet, step: int = 1000) -> list[Reference]:
    references = []
    for start in range(0, sources.rows, step):
        for piece in sources.pieces(start, min(start + step, sources.rows)):
            references += pickle.loads(pickle.dumps(piece)).read()
    assert len(references) == sources.rows
    return references


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def make(path: Path, members: dict[str, bytes]) -> Path:
    return make_zip(path, members) if path.suffix == ".zip" else make_tar(path, members)


NAMES = ["a.zip", "a.tar.gz", "a.tgz"]
MEMBERS = {f"set/{i}.cif": f"text {i}".encode() for i in range(20)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step", [3, 1000])
def test_members_are_rows(name: str, step: int, tmp_path: Path) -> None:
    path = make(tmp_path / name, {**MEMBERS, "set/readme.md": b"no", "set/POSCAR": b"caf\xe9"})
    sources = open_sources([path])
    references = read_all(sources, step)
    assert [r.id for r in references] == [f"set/{i}" for i in range(20)] + ["set/POSCAR"]
    texts = [r.payload.text for r in references if isinstance(r.payload, TextPayload)]
    assert texts == [f"text {i}" for i in range(20)] + ["caf\ufffd"]
    assert references[4].source == f"{path}:set/4.cif"
    assert sources.describe()[0] == {
        "path": str(path),
        "kind": "archive",
        "rows": 21,
        "digest": sources.sources[0].digest,
        "ignored": 1,
        "ignored_endings": {".md": 1},
    }


@pytest.mark.parametrize("name", NAMES)
def test_pieces_may_be_read_in_any_order(name: str, tmp_path: Path) -> None:
    sources = open_sources([make(tmp_path / name, MEMBERS)])
    for row in (15, 3, 19, 0):
        (reference,) = sources.pieces(row, row + 1)[0].read()
        assert isinstance(reference.payload, TextPayload)
        assert reference.payload.text == f"text {row}"


@pytest.mark.parametrize("name", NAMES)
def test_members_that_climb_out_are_refused(name: str, tmp_path: Path) -> None:
    path = make(tmp_path / name, {"../evil.cif": b"x", "/etc/evil.cif": b"x", "good.cif": b"x"})
    payloads = [r.payload for r in read_all(open_sources([path]))]
    codes = [p.error.code for p in payloads if isinstance(p, FailedPayload)]
    assert codes == [ErrorCode.PATH_FORBIDDEN] * 2
    assert isinstance(payloads[2], TextPayload)
    assert not (tmp_path.parent / "evil.cif").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_member_that_is_too_large_fails_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    path = make(tmp_path / name, {"bomb.cif": b"0" * 100_000, "good.cif": b"x" * 1000})
    bomb, good = read_all(open_sources([path]))
    assert isinstance(bomb.payload, FailedPayload)
    assert bomb.payload.error.code == ErrorCode.FILE_UNREADABLE
    assert isinstance(good.payload, TextPayload)


def test_a_damaged_zip_member_fails_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("bad.cif", b"the original bytes")
        archive.writestr("good.cif", b"text")
    path.write_bytes(path.read_bytes().replace(b"the original bytes", b"the 0riginal bytes"))
    bad, good = read_all(open_sources([path]))
    assert isinstance(bad.payload, FailedPayload)
    assert bad.payload.error.code == ErrorCode.FILE_UNREADABLE
    assert isinstance(good.payload, TextPayload)


def test_an_archive_that_vanished_fails_its_rows(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", MEMBERS)
    sources = open_sources([path])
    path.unlink()
    codes = {r.payload.error.code for r in read_all(sources) if isinstance(r.payload, FailedPayload)}
    assert codes == {ErrorCode.FILE_UNREADABLE}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("keep", [0, 30, -40])
def test_a_truncated_archive_cannot_be_opened(name: str, keep: int, tmp_path: Path) -> None:
    path = make(tmp_path / name, MEMBERS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="cannot be read as an archive") as caught:
        open_sources([path])
    assert caught.value.code == ErrorCode.INPUT_UNREADABLE
