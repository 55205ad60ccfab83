"""The Hub's real client against a server on loopback that redirects, breaks off, lies and fails."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from goldilocks_batch.artifacts.cache import LOCK_FILE, origin_of
from goldilocks_batch.artifacts.hub import Remote
from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.pull import Fetcher
from goldilocks_batch.artifacts.registry import FileEntry, FolderEntry, Registry
from goldilocks_batch.artifacts.resolve import resolve
from goldilocks_batch.core.errors import ErrorCode, ModelError, RunError
from tests.hub_server import COMMIT, Fault, Hub, serving

SMALL = b"weights"
#: More than the client writes at a time (10 MiB), so that a broken transfer leaves a part.
LARGE = np.random.default_rng(0).bytes(13 * 2**20)
ENSEMBLE = FolderEntry(repository="org/nets", path="quantile95")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pinned(data: bytes, path: str = "one.bin") -> FileEntry:
    return FileEntry(repository="org/repo", path=path, revision=COMMIT, sha256=sha(data), size=len(data))


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as found:
        found.files = {
            "org/repo/one.bin": SMALL,
            "org/repo/large.bin": LARGE,
            "org/repo/table.json": b"{}",
            "org/nets/quantile95/a.ckpt": b"a",
            "org/nets/quantile95/b.ckpt": b"b",
            "org/nets/quantile95/notes.md": b"no checkpoint",
            "org/nets/quantile9/c.ckpt": b"c",
            "org/raw/folder/atoms.json": b"[1]",
        }
        yield found


def fetcher(hub: Hub, folder: Path, *, waits: tuple[float, ...] = (0.01, 0.01)) -> Fetcher:
    return Fetcher(folder, Remote(endpoint=hub.url, github=f"{hub.url}/raw", waits=waits))


def files_in(folder: Path) -> set[str]:
    """Names that anybody would take for a model's file."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix() for path in found} - {
        f"org/repo/{LOCK_FILE}",
        f"org/nets/{LOCK_FILE}",
    }


def refused(fetch: Fetcher, entry: FileEntry | FolderEntry, code: ErrorCode, *words: str) -> None:
    with pytest.raises(ModelError) as refusal:
        fetch(entry)
    assert refusal.value.code == code, refusal.value
    for word in words:
        assert word in refusal.value.message
    assert files_in(fetch.folder) == set()


def test_a_pinned_file_comes_by_way_of_the_cdn(hub: Hub, tmp_path: Path) -> None:
    fetcher(hub, tmp_path)(pinned(SMALL))
    assert (tmp_path / "org/repo/one.bin").read_bytes() == SMALL
    methods = [(method, path) for method, path, _ in hub.asked]
    assert methods == [
        ("HEAD", f"/org/repo/resolve/{COMMIT}/one.bin"),
        ("GET", "/cdn/org/repo/one.bin"),
    ]
    assert not (tmp_path / "org/repo" / LOCK_FILE).exists()


def test_a_token_stays_with_the_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetcher(hub, tmp_path)(pinned(SMALL))
    fetcher(hub, tmp_path)(pinned(b"{}", "table.json"))
    sent = {(path, "authorization" in headers) for _, path, headers in hub.asked}
    assert sent == {
        (f"/org/repo/resolve/{COMMIT}/one.bin", True),
        (f"/org/repo/resolve/{COMMIT}/table.json", True),
        ("/cdn/org/repo/one.bin", False),
    }


def test_what_is_there_is_not_fetched_again(
    hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fetch = Fetcher(tmp_path, Remote(endpoint=hub.url))
    with caplog.at_level("INFO", "goldilocks_batch"):
        for _ in range(2):
            fetch(pinned(SMALL))
    assert len(hub.asked) == 2
    place = hub.url.removeprefix("http://")
    told = [line.split(": ")[1] for line in caplog.messages]
    assert told == [f"fetching 0.0 MB from {place}", "there already"]


def test_a_damaged_file_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    fetch = fetcher(hub, tmp_path)
    fetch(pinned(SMALL))
    (tmp_path / "org/repo/one.bin").write_bytes(b"wrong")
    fetch(pinned(SMALL))
    assert (tmp_path / "org/repo/one.bin").read_bytes() == SMALL


def test_a_broken_transfer_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.faults = [Fault("/cdn/", cut_at=12 * 2**20)]
    fetcher(hub, tmp_path)(pinned(LARGE, "large.bin"))
    assert (tmp_path / "org/repo/large.bin").read_bytes() == LARGE
    assert hub.ranges() == [None, f"bytes={10 * 2**20}-"]


@pytest.mark.slow
def test_a_later_call_goes_on_with_what_an_earlier_one_left(hub: Hub, tmp_path: Path) -> None:
    hub.faults = [Fault("/cdn/", times=float("inf"), cut_at=12 * 2**20)]
    refused(fetcher(hub, tmp_path), pinned(LARGE, "large.bin"), ErrorCode.ARTIFACT_MISSING, "/cdn/")
    hub.faults, hub.asked = [], []
    fetcher(hub, tmp_path)(pinned(LARGE, "large.bin"))
    assert hub.ranges() == [f"bytes={10 * 2**20}-"]
    assert (tmp_path / "org/repo/large.bin").read_bytes() == LARGE
    assert [path for path in (tmp_path / "org/repo").iterdir() if "part" in path.name] == []


def test_a_part_that_has_been_damaged_is_begun_anew(hub: Hub, tmp_path: Path) -> None:
    fetch = fetcher(hub, tmp_path)
    published = fetch.remote.describe(pinned(LARGE, "large.bin"), COMMIT)
    hub.faults = [Fault("/cdn/", status=404)]
    with pytest.raises(ModelError):
        fetch(pinned(LARGE, "large.bin"))
    (part,) = (tmp_path / "org/repo").glob(".large.bin.part-*")
    part.write_bytes(b"x" * 5)
    fetch(pinned(LARGE, "large.bin"))
    assert hub.ranges()[-2:] == ["bytes=5-", None]
    assert (tmp_path / "org/repo/large.bin").stat().st_size == published.size


def test_wrong_bytes_are_refused_and_not_kept(hub: Hub, tmp_path: Path) -> None:
    hub.sent["org/repo/one.bin"] = b"weighty"
    refused(fetcher(hub, tmp_path), pinned(SMALL), ErrorCode.ARTIFACT_DIGEST, sha(SMALL), sha(b"weighty"))
    assert not list((tmp_path / "org/repo").glob(".one.bin.part-*"))


def test_wrong_bytes_of_an_unpinned_file_are_refused_too(hub: Hub, tmp_path: Path) -> None:
    hub.sent["org/repo/one.bin"] = b"weighty"
    entry = FileEntry(repository="org/repo", path="one.bin")
    refused(fetcher(hub, tmp_path), entry, ErrorCode.ARTIFACT_DIGEST, sha(b"weighty"))
    assert not (tmp_path / "org/repo" / LOCK_FILE).exists()


def test_another_version_is_refused_before_it_is_fetched(hub: Hub, tmp_path: Path) -> None:
    refused(fetcher(hub, tmp_path), pinned(b"older"), ErrorCode.ARTIFACT_DIGEST, "that the registry names")
    assert [method for method, _, _ in hub.asked] == ["HEAD"]


def test_another_commit_than_the_pinned_one_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.commit = "d" * 40
    entry = FileEntry(repository="org/repo", path="one.bin", revision=COMMIT)
    refused(fetcher(hub, tmp_path), entry, ErrorCode.ARTIFACT_DIGEST, hub.commit)


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        (401, "RepoNotFound", "HF_TOKEN"),
        (403, "GatedRepo", "forbidden"),
        (404, "EntryNotFound", "not found"),
        (404, "RevisionNotFound", "not found"),
    ],
)
@pytest.mark.parametrize("where", ["/resolve/", "/cdn/"])
def test_a_refusal_is_told_and_not_repeated(
    hub: Hub, tmp_path: Path, status: int, code: str, word: str, where: str
) -> None:
    hub.faults = [Fault(where, times=float("inf"), status=status, code=code)]
    refused(fetcher(hub, tmp_path), pinned(SMALL), ErrorCode.ARTIFACT_MISSING, f"HTTP {status}", word, where)
    assert sum(where in path for _, path, _ in hub.asked) == 1


@pytest.mark.parametrize("where", ["/resolve/", "/cdn/", "/raw/", "/api/"])
@pytest.mark.parametrize("status", [500, 503])
def test_trouble_that_passes_is_waited_for(hub: Hub, tmp_path: Path, where: str, status: int) -> None:
    hub.faults = [Fault(where, times=2, status=status)]
    fetch = fetcher(hub, tmp_path)
    fetch(pinned(SMALL))
    fetch(github())
    fetch(ENSEMBLE)
    assert hub.faults[0].times == 0
    assert len(files_in(tmp_path)) == 4


@pytest.mark.parametrize("where", ["/resolve/", "/cdn/", "/api/"])
def test_trouble_that_stays_is_told(hub: Hub, tmp_path: Path, where: str) -> None:
    hub.faults = [Fault(where, times=float("inf"), status=503)]
    entry = ENSEMBLE if where == "/api/" else pinned(SMALL)
    refused(fetcher(hub, tmp_path), entry, ErrorCode.ARTIFACT_MISSING, "HTTP 503")
    assert sum(where in path for _, path, _ in hub.asked) == 3  # the first, and one after each wait


def test_no_server_at_all(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    remote = Remote(endpoint=f"http://127.0.0.1:{free}", waits=())
    refused(Fetcher(tmp_path, remote), pinned(SMALL), ErrorCode.ARTIFACT_MISSING, str(free), "refused")
    refused(Fetcher(tmp_path, remote), ENSEMBLE, ErrorCode.ARTIFACT_MISSING, str(free), "refused")


def test_offline_asks_nobody(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the client reads it at its import
    for entry in (pinned(SMALL), github(), ENSEMBLE):
        refused(fetcher(hub, tmp_path), entry, ErrorCode.ARTIFACT_MISSING, "HF_HUB_OFFLINE")
    assert hub.asked == []


def test_a_server_that_is_no_hub(hub: Hub, tmp_path: Path) -> None:
    hub.files["org/repo/one.bin"] = SMALL
    hub.faults = [Fault("/resolve/", times=float("inf"), status=200)]
    refused(
        fetcher(hub, tmp_path), FileEntry(repository="org/repo", path="one.bin"), ErrorCode.ARTIFACT_MISSING
    )


def github(**changes: object) -> FileEntry:
    values: dict[str, object] = {
        "host": "github",
        "repository": "org/raw",
        "path": "folder/atoms.json",
        "revision": COMMIT,
        "sha256": sha(b"[1]"),
        "size": 3,
    }
    return FileEntry.model_validate(values | changes)


def test_github_is_asked_by_its_pinned_address(hub: Hub, tmp_path: Path) -> None:
    fetcher(hub, tmp_path)(github())
    assert (tmp_path / "org/raw/folder/atoms.json").read_bytes() == b"[1]"
    ((method, path, headers),) = hub.asked
    assert (method, path) == ("GET", f"/raw/org/raw/{COMMIT}/folder/atoms.json")
    assert "authorization" not in headers


def test_github_sending_other_bytes_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.sent["org/raw/folder/atoms.json"] = b"[2]"
    refused(fetcher(hub, tmp_path), github(), ErrorCode.ARTIFACT_DIGEST)
    refused(fetcher(hub, tmp_path), github(path="folder/none.json"), ErrorCode.ARTIFACT_MISSING, "404")


def test_an_unpinned_file_is_pinned_at_its_first_fetch(hub: Hub, tmp_path: Path) -> None:
    entry = FileEntry(repository="org/repo", path="one.bin", revision="main")
    fetch = fetcher(hub, tmp_path)
    fetch(entry)
    lock = json.loads((tmp_path / "org/repo" / LOCK_FILE).read_text())
    assert lock["files"] == {"one.bin": {"sha256": sha(SMALL), "size_bytes": 7, "revision": COMMIT}}
    (tmp_path / "org/repo/one.bin").unlink()
    hub.files["org/repo/one.bin"] = b"newer weights"
    refused(fetch, entry, ErrorCode.ARTIFACT_DIGEST, "another version", LOCK_FILE)


def test_an_ensemble_is_of_one_commit_and_whole(hub: Hub, tmp_path: Path) -> None:
    fetch = fetcher(hub, tmp_path)
    hub.faults = [Fault("/cdn/org/nets/quantile95/b.ckpt", status=404)]
    with pytest.raises(ModelError):
        fetch(ENSEMBLE)
    lock = json.loads((tmp_path / "org/nets" / LOCK_FILE).read_text())
    assert lock["folders"] == {"quantile95": {"names": ["a.ckpt", "b.ckpt"], "revision": COMMIT}}
    with pytest.raises(ModelError, match="an ensemble must be whole"):
        resolve(registry(), "nets", 0.95, Places(tmp_path))
    fetch(ENSEMBLE)
    found = resolve(registry(), "nets", 0.95, Places(tmp_path))
    assert [file.path.name for file in found.files if file.role == "lower"] == ["a.ckpt", "b.ckpt"]
    assert all(file.pinned for file in found.files if file.role == "lower")
    assert found.revision == COMMIT
    assert sum("/api/" in path for _, path, _ in hub.asked) == 1
    assert all(COMMIT in path for _, path, _ in hub.asked if "/resolve/" in path)


def test_a_checkpoint_that_differs_from_the_lock_file_is_refused_anywhere(hub: Hub, tmp_path: Path) -> None:
    fetcher(hub, tmp_path)(ENSEMBLE)
    (tmp_path / "org/nets/quantile95/b.ckpt").write_bytes(b"z")
    with pytest.raises(ModelError, match=LOCK_FILE) as refusal:
        resolve(registry(), "nets", 0.95, Places(tmp_path))
    assert refusal.value.code == ErrorCode.ARTIFACT_DIGEST
    (tmp_path / "org/nets/quantile95/b.ckpt").write_bytes(b"b")
    (tmp_path / "org/nets/quantile95/more.ckpt").write_bytes(b"a")
    with pytest.raises(ModelError, match="an ensemble must be whole"):
        resolve(registry(), "nets", 0.95, Places(tmp_path))


def registry() -> Registry:
    """A model of that ensemble; its atoms are in the same repository, to have something pinned."""
    return Registry.model_validate(
        {
            "files": {"atoms": {"repository": "org/nets", "path": "quantile95/a.ckpt", "sha256": sha(b"a")}},
            "folders": {"nets": {"repository": "org/nets", "path": "quantile95"}},
            "models": {
                "nets": {
                    "kind": "alignn",
                    "title": "networks",
                    "files": {"atoms": "atoms"},
                    "levels": {"0.95": {"files": dict.fromkeys(("lower", "median", "upper"), "nets")}},
                }
            },
        }
    )


def test_what_is_missing_is_fetched_into_the_cache_once(hub: Hub, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    places = Places(empty, tmp_path / "cache", fetcher(hub, tmp_path / "cache"))
    first = resolve(registry(), "nets", 0.95, places)
    asked = len(hub.asked)
    assert first == resolve(registry(), "nets", 0.95, places)
    assert len(hub.asked) == asked
    assert list(empty.iterdir()) == []
    moved = tmp_path / "elsewhere"
    (tmp_path / "cache").rename(moved)
    assert resolve(registry(), "nets", 0.95, Places(moved)).digest == first.digest


def test_what_cannot_be_had_says_where_was_looked_and_what_to_do(hub: Hub, tmp_path: Path) -> None:
    hub.files.clear()
    places = Places(tmp_path, tmp_path / "cache", fetcher(hub, tmp_path / "cache"))
    with pytest.raises(ModelError) as refusal:
        resolve(registry(), "nets", 0.95, places)
    assert refusal.value.code == ErrorCode.ARTIFACT_MISSING
    for text in (str(tmp_path), f"{tmp_path}/cache", hub.url, "models pull nets --to", "--artifacts"):
        assert text in refusal.value.message
    assert "--model mc3d needs no files" in refusal.value.message


def test_a_cache_that_cannot_be_written_is_told_with_what_to_do(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the cache should be")
    places = Places(None, tmp_path / "cache", fetcher(hub, tmp_path / "cache"))
    with pytest.raises(ModelError, match="cannot write") as refusal:
        resolve(registry(), "nets", 0.95, places)
    assert "models pull nets --to" in refusal.value.message


@pytest.mark.parametrize("name", ["../../evil.ckpt", "sub/c.ckpt", "c\n.ckpt", ".hidden.ckpt", "\\c.ckpt"])
def test_a_listed_name_that_leaves_the_folder_is_refused(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.files[f"org/nets/quantile95/{name}"] = b"evil"
    refused(fetcher(hub, tmp_path / "in"), ENSEMBLE, ErrorCode.ARTIFACT_FORBIDDEN, "no plain file name")
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"lock_version": 2}',
        '{"files": {"one.bin": {"sha256": "abc", "size_bytes": 1, "revision": "x"}}}',
        '{"folders": {"quantile95": {"revision": "x", "names": ["../../evil.ckpt"]}}}',
        '{"folders": {"quantile95": {"revision": "x", "names": []}}}',
    ],
)
def test_a_lock_file_that_is_not_understood_is_refused(hub: Hub, tmp_path: Path, text: str) -> None:
    (tmp_path / "org/nets").mkdir(parents=True)
    (tmp_path / "org/nets" / LOCK_FILE).write_text(text)
    refused(fetcher(hub, tmp_path), ENSEMBLE, ErrorCode.ARTIFACT_INVALID, LOCK_FILE)
    assert hub.asked == []


def test_a_lock_file_elsewhere_is_not_followed(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "in/org/nets").mkdir(parents=True)
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "in/org/nets" / LOCK_FILE).symlink_to(tmp_path / "other.json")
    refused(fetcher(hub, tmp_path / "in"), ENSEMBLE, ErrorCode.ARTIFACT_FORBIDDEN)


def test_many_fetch_the_same_at_once(hub: Hub, tmp_path: Path) -> None:
    entry = FileEntry(repository="org/repo", path="large.bin")
    threads = [threading.Thread(target=fetcher(hub, tmp_path), args=(entry,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "org/repo/large.bin").read_bytes() == LARGE
    assert len(hub.ranges()) == 1


def test_a_folder_that_cannot_be_written_is_told(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "org").write_text("a file where a folder should be")
    with pytest.raises(RunError) as refusal:
        fetcher(hub, tmp_path)(pinned(SMALL))
    assert refusal.value.code == ErrorCode.WRITE_FAILED


def everywhere(*mirrors: str, path: str = "one.bin", data: bytes = SMALL) -> FileEntry:
    return pinned(data, path).model_copy(update={"mirrors": mirrors})


@pytest.fixture
def psdi(hub: Hub) -> Hub:
    """The server holds the files as a PSDI record and at a plain address, too."""
    for name in ("one.bin", "large.bin"):
        hub.files[f"PSDI/abcde-12345/{name}"] = hub.files[f"mirror/plain/{name}"] = hub.files[
            f"org/repo/{name}"
        ]
    return hub


def places(hub: Hub, name: str = "one.bin") -> tuple[str, ...]:
    return f"psdi:abcde-12345/{name}", f"{hub.cdn}/cdn/mirror/plain/{name}"


def with_psdi(hub: Hub, folder: Path) -> Fetcher:
    return Fetcher(folder, Remote(hub.url, f"{hub.url}/raw", f"{hub.url}/psdi", waits=()))


def origin(folder: Path, path: str = "one.bin") -> str:
    found = origin_of(folder / "org/repo" / path)
    assert found is not None
    return found


def test_the_first_place_that_has_a_file_gives_it(psdi: Hub, tmp_path: Path) -> None:
    with_psdi(psdi, tmp_path)(everywhere(*places(psdi)))
    assert (tmp_path / "org/repo/one.bin").read_bytes() == SMALL
    assert not [path for _, path, _ in psdi.asked if path.startswith(("/psdi", "/cdn/mirror"))]
    assert origin(tmp_path).startswith(f"{psdi.url}/org/repo/resolve/")


@pytest.mark.parametrize(
    "fault",
    [
        Fault("/org/repo/", times=9, status=404, code="EntryNotFound"),
        Fault("/org/repo/", times=9, status=503),
        Fault("/org/repo/", times=9, status=401, code="RepoNotFound"),
    ],
    ids=["gone", "down", "locked"],
)
def test_the_next_place_is_asked_where_one_fails(psdi: Hub, tmp_path: Path, fault: Fault) -> None:
    psdi.faults = [fault]
    with_psdi(psdi, tmp_path)(everywhere(*places(psdi)))
    assert (tmp_path / "org/repo/one.bin").read_bytes() == SMALL
    assert origin(tmp_path) == f"{psdi.url}/psdi/api/records/abcde-12345/files/one.bin/content"


def test_a_place_with_other_bytes_is_passed_over(psdi: Hub, tmp_path: Path) -> None:
    psdi.sent = {"org/repo/one.bin": b"damaged", "PSDI/abcde-12345/one.bin": b"a login page"}
    with_psdi(psdi, tmp_path)(everywhere(*places(psdi)))
    assert (tmp_path / "org/repo/one.bin").read_bytes() == SMALL
    assert origin(tmp_path) == f"{psdi.cdn}/cdn/mirror/plain/one.bin"


def test_a_host_that_is_not_there_is_passed_over(psdi: Hub, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    began = time.monotonic()
    Fetcher(tmp_path, Remote(nobody, psdi=nobody, waits=()))(everywhere(*places(psdi)))
    assert time.monotonic() - began < 4  # the client alone tries for 5 s
    assert (tmp_path / "org/repo/one.bin").read_bytes() == SMALL


def test_what_one_place_left_is_gone_on_with_at_the_next(psdi: Hub, tmp_path: Path) -> None:
    psdi.faults = [
        Fault("/cdn/org/repo/large", cut_at=11 * 2**20),
        Fault("/cdn/org/repo/large", times=9, status=410),
    ]
    entry = everywhere(*places(psdi, "large.bin"), path="large.bin", data=LARGE)
    with_psdi(psdi, tmp_path)(entry)
    assert (tmp_path / "org/repo/large.bin").read_bytes() == LARGE
    begun = [h.get("range") for m, path, h in psdi.asked if path.startswith("/cdn/PSDI/") and m == "GET"]
    assert begun[0] not in (None, "bytes=0-")


def test_where_all_places_fail_each_is_told(psdi: Hub, tmp_path: Path) -> None:
    psdi.faults = [Fault("one.bin", times=99, status=404, code="EntryNotFound")]
    words = ("none of 3 places", "org/repo", "/psdi/api/records/abcde-12345", "mirror/plain")
    refused(with_psdi(psdi, tmp_path), everywhere(*places(psdi)), ErrorCode.ARTIFACT_MISSING, *words)


def test_where_only_other_bytes_can_be_had_nothing_is_kept(psdi: Hub, tmp_path: Path) -> None:
    psdi.faults = [Fault("/org/repo/", times=9, status=404, code="EntryNotFound")]
    psdi.sent = {"PSDI/abcde-12345/one.bin": b"WEIGHTS"}
    refused(
        with_psdi(psdi, tmp_path), everywhere(places(psdi)[0]), ErrorCode.ARTIFACT_DIGEST, sha(b"WEIGHTS")
    )


def test_offline_asks_no_mirror(psdi: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused(
        with_psdi(psdi, tmp_path), everywhere(*places(psdi)), ErrorCode.ARTIFACT_MISSING, "HF_HUB_OFFLINE"
    )
    assert psdi.asked == []


def test_a_record_of_psdi_alone(psdi: Hub, tmp_path: Path) -> None:
    entry = FileEntry(
        host="psdi", repository="PSDI/abcde-12345", path="one.bin", sha256=sha(SMALL), size=len(SMALL)
    )
    with_psdi(psdi, tmp_path)(entry)
    assert (tmp_path / "PSDI/abcde-12345/one.bin").read_bytes() == SMALL


@pytest.mark.parametrize(
    ("mirror", "sha256"),
    [("psdi:a/b", None), ("psdi:a", "0" * 64), ("file:///etc/passwd", "0" * 64), ("psdi:a/../b", "0" * 64)],
)
def test_mirrors_that_are_none_are_refused(mirror: str, sha256: str | None) -> None:
    with pytest.raises(ValueError, match=r"mirrors"):
        FileEntry(repository="a/b", path="c", sha256=sha256, mirrors=(mirror,))
