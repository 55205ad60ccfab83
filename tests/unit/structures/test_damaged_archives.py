"""Archives that are cut, damaged or odd: refused, or every structure in them has its row."""

from __future__ import annotations

import gzip
import io
import random
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from goldilocks_batch.core.errors import ErrorCode, InputError
from goldilocks_batch.structures.sources.reference import FailedPayload, TextPayload
from goldilocks_batch.structures.sources.sourceset import open_sources
from tests.unit.structures.test_archive import MEMBERS, make_tar, read_all

GOOD = [f"text {i}" for i in range(20)]


def contents(path: Path) -> dict[str, str | ErrorCode]:
    """What each row of an archive holds, or why it failed, by its id."""
    found: dict[str, str | ErrorCode] = {}
    for reference in read_all(open_sources([path])):
        payload = reference.payload
        assert isinstance(payload, TextPayload | FailedPayload)
        found[reference.id] = payload.text if isinstance(payload, TextPayload) else payload.error.code
    return found


def compressed(path: Path, tar: bytes) -> Path:
    path.write_bytes(gzip.compress(tar))
    return path


def tar_of(form: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, data in {**MEMBERS, f"{'long/' * 40}x.cif": b"deep"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_cut_anywhere_is_refused(form: int, tmp_path: Path) -> None:
    whole = tar_of(form)
    end = len(whole.rstrip(b"\0")) // 512 * 512 + 512  # of the last member; then come blocks of zeros
    assert len(contents(compressed(tmp_path / "a.tgz", whole))) == 21
    cuts = sorted({*range(512, end + 1, 512), *random.Random(form).sample(range(1, end), 40)})
    for cut in cuts:
        with pytest.raises(InputError, match="cannot be read as an archive"):
            open_sources([compressed(tmp_path / "a.tgz", whole[:cut])])
    assert len(contents(compressed(tmp_path / "a.tgz", whole[: end + 512]))) == 21  # one block that ends it


def test_a_gzip_stream_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(tar_of(tarfile.GNU_FORMAT))
    path = tmp_path / "a.tgz"
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match="cannot be read as an archive"):
            open_sources([path])


@pytest.mark.parametrize("member", range(20))
def test_a_damaged_header_is_refused(member: int, tmp_path: Path) -> None:
    tar = bytearray(tar_of(tarfile.USTAR_FORMAT))
    tar[member * 1024 + 150] ^= 1  # of the checksum: header and data have a block each
    with pytest.raises(InputError, match="cannot be read as an archive"):
        open_sources([compressed(tmp_path / "a.tgz", bytes(tar))])


def test_joined_archives_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="several archives are joined"):
        open_sources([compressed(tmp_path / "a.tgz", tar_of(tarfile.USTAR_FORMAT) * 2)])


def test_a_flipped_bit_loses_no_structure_in_silence(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "a.tgz", MEMBERS).read_bytes()
    places = random.Random(0).sample(range(8 * 10, 8 * len(whole)), 200)
    refused = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        (tmp_path / "a.tgz").write_bytes(damaged)
        try:
            assert list(contents(tmp_path / "a.tgz").values()) == GOOD
        except InputError:
            refused += 1
    assert refused > 190  # the rest are bits that mean nothing


def test_links_in_a_tar_are_the_files_that_they_lead_to(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    links = {
        "set/hard.cif": (tarfile.LNKTYPE, "set/3.cif"),
        "set/soft.cif": (tarfile.SYMTYPE, "4.cif"),
        "up.cif": (tarfile.SYMTYPE, "./set/../set/5.cif"),
        "twice.cif": (tarfile.SYMTYPE, "set/hard.cif"),
        "blob.cif": (tarfile.LNKTYPE, "blob"),
        "loop.cif": (tarfile.SYMTYPE, "loop.cif"),
        "gone.cif": (tarfile.SYMTYPE, "nowhere.cif"),
        "out.cif": (tarfile.SYMTYPE, "/etc/passwd"),
        "climbs.cif": (tarfile.LNKTYPE, "../x.cif"),
        "pipe.cif": (tarfile.FIFOTYPE, ""),
        "notes": (tarfile.SYMTYPE, "set/3.cif"),
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {**MEMBERS, "blob": b"no ending"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, (kind, target) in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    found = contents(path)
    assert len(found) == 20 + len(links) - 1
    assert {name: found[name] for name in found if not name.startswith("set/")} == {
        "up": "text 5",
        "twice": "text 3",
        "blob": "no ending",
        "loop": ErrorCode.FILE_NOT_FOUND,
        "gone": ErrorCode.FILE_NOT_FOUND,
        "out": ErrorCode.PATH_FORBIDDEN,
        "climbs": ErrorCode.PATH_FORBIDDEN,
        "pipe": ErrorCode.FILE_UNREADABLE,
    }
    assert (found["set/hard"], found["set/soft"]) == ("text 3", "text 4")


def test_a_hard_link_is_to_what_came_before_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for data in (b"first", b"second"):
            info = tarfile.TarInfo("blob")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
            if data == b"first":
                link = tarfile.TarInfo("a.cif")
                link.type, link.linkname = tarfile.LNKTYPE, "blob"
                archive.addfile(link)
    assert contents(path) == {"a": "first"}


def test_hard_links_that_tar_writes_are_rows(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.cif").write_text("text")
    (folder / "b.cif").hardlink_to(folder / "a.cif")
    (folder / "c.cif").symlink_to("b.cif")
    subprocess.run(["tar", "-czf", tmp_path / "a.tgz", "-C", tmp_path, "set"], check=True)
    assert contents(tmp_path / "a.tgz") == {"set/a": "text", "set/b": "text", "set/c": "text"}


def test_links_in_a_zip_are_the_files_that_they_lead_to(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, target in {"set/soft.cif": "real.cif", "loop.cif": "loop.cif", "out.cif": "../x"}.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, target)
        archive.writestr("set/real.cif", "text")
    assert contents(path) == {
        "set/soft": "text",
        "loop": ErrorCode.FILE_NOT_FOUND,
        "out": ErrorCode.PATH_FORBIDDEN,
        "set/real": "text",
    }


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_of_a_zip_costs_its_row(method: int, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    noise = random.Random(1).randbytes(400).hex()
    with zipfile.ZipFile(path, "w", method) as archive:
        for index in range(5):
            archive.writestr(f"{index}.cif", f"{index} {noise}")
        place = archive.getinfo("2.cif").header_offset + 40
    failed = 0
    for shift in range(0, 200, 5):
        data = bytearray(path.read_bytes())
        data[place + shift] ^= 0x55
        (tmp_path / "b.zip").write_bytes(data)
        found = contents(tmp_path / "b.zip")
        damaged = found.pop("2")
        assert damaged in (ErrorCode.FILE_UNREADABLE, f"2 {noise}")
        failed += damaged == ErrorCode.FILE_UNREADABLE
        assert found == {str(index): f"{index} {noise}" for index in (0, 1, 3, 4)}
    assert failed > 35  # the rest are bytes that mean nothing
