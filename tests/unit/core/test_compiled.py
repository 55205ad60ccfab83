"""Kernels: kept outside of the installation, compiled by one process at a time, wherever one may write."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import goldilocks_batch
from goldilocks_batch.core import versions
from goldilocks_batch.core.compiled import announce
from goldilocks_batch.core.kernel_cache import has_code, kernel_folder, kernel_modules
from goldilocks_batch.core.versions import source_digest, source_of
from tests.kernels import WRITTEN

PACKAGE = Path(goldilocks_batch.__file__).parent
#: A kernel that calls another; both leave in the output that they are compiled.
MODULE = """
from goldilocks_batch.core.compiled import compiled_here, kernel

@kernel()
def inner(x):
    return x + 1

@kernel(error_model="numpy")
def outer(x):
    total = 0
    for i in range(x):
        total += inner(i)
    return total
"""
#: Uses it, and tells what was compiled and where the code is.
PROGRAM = """
import json, sys
import tiny
found = tiny.outer(4)
where = str(tiny.outer.stats.cache_path)
print(json.dumps([found, sorted(tiny.compiled_here()), where]))
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder with the module; caches are beside it."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "tiny.py").write_text(MODULE)
    return tmp_path


def environment(tiny: Path, **changes: str) -> dict[str, str]:
    """Of a user whose home is in the folder, and who has chosen no place."""
    kept = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "GOLDILOCKS_CACHE")}
    paths = os.pathsep.join([str(tiny / "code"), str(PACKAGE.parent)])
    places = {"HOME": str(tiny / "home"), "XDG_CACHE_HOME": "", "TMPDIR": str(tiny / "tmp")}
    (tiny / "tmp").mkdir(exist_ok=True)
    return {**kept, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **places, **changes}


def start(tiny: Path, before: str = "", **changes: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", before + PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tiny, **changes),
    )


def told(process: subprocess.Popen[str]) -> tuple[list[str], Path]:
    """What a process has compiled, and where it kept it."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    found, compiled, where = json.loads(out)
    assert found == 10
    return compiled, Path(where)


BOTH = ["tiny:inner", "tiny:outer"]


def test_code_is_kept_in_the_projects_cache_for_the_next_process(tiny: Path) -> None:
    cache = tiny / "cache"
    compiled, where = told(start(tiny, GOLDILOCKS_CACHE=str(cache)))
    assert compiled == BOTH
    assert where.is_relative_to(cache / "kernels")
    assert not where.parent.stat().st_mode & 0o022
    assert told(start(tiny, GOLDILOCKS_CACHE=str(cache))) == ([], where)
    # nothing lies beside the source
    assert [path.name for path in (tiny / "code").iterdir()] == ["tiny.py"]
    assert not (tiny / "home").exists()


def test_one_process_compiles_and_the_others_wait(tiny: Path) -> None:
    cache = str(tiny / "cache")
    found = [told(process)[0] for process in [start(tiny, GOLDILOCKS_CACHE=cache) for _ in range(4)]]
    assert sorted(name for names in found for name in names) == BOTH


ALONE = """
import sys, time
from goldilocks_batch.core.compiled import one_at_a_time
with one_at_a_time("something"):
    for word in ("in", "out"):
        with open(sys.argv[1], "a") as log:
            print(word, file=log)
        time.sleep(0.2)
"""


def test_other_things_too_are_done_by_one_process_at_a_time(tiny: Path) -> None:
    log, places = tiny / "log", environment(tiny, GOLDILOCKS_CACHE=str(tiny / "cache"))
    command = [sys.executable, "-c", ALONE, str(log)]
    assert [process.wait(60) for process in [subprocess.Popen(command, env=places) for _ in range(3)]] == [
        0
    ] * 3
    assert log.read_text().split() == ["in", "out"] * 3


def test_the_users_own_choice_is_respected(tiny: Path) -> None:
    _, where = told(start(tiny, NUMBA_CACHE_DIR=str(tiny / "mine"), GOLDILOCKS_CACHE=str(tiny / "cache")))
    assert where.is_relative_to(tiny / "mine")
    assert not (tiny / "cache").exists()


def test_other_packages_keep_their_place(tiny: Path) -> None:
    before = "from numba import config\nconfig.CACHE_DIR = ''\n"
    program = start(tiny, before, GOLDILOCKS_CACHE=str(tiny / "cache"))
    told(program)
    check = "import tiny\nfrom numba import config\nprint(repr(config.CACHE_DIR))"
    done = subprocess.run(
        [sys.executable, "-c", check],
        capture_output=True,
        text=True,
        check=True,
        env=environment(tiny, GOLDILOCKS_CACHE=str(tiny / "cache")),
    )
    assert done.stdout == "''\n"


@pytest.mark.parametrize("home", ["writable", "not"])
def test_where_the_cache_cannot_be_written_there_is_another_place(tiny: Path, home: str) -> None:
    (tiny / "file").touch()
    changes = {"GOLDILOCKS_CACHE": str(tiny / "file" / "cache")}
    if home == "not":
        changes["HOME"] = str(tiny / "file" / "home")
    compiled, where = told(start(tiny, **changes))
    assert compiled == BOTH
    expected = tiny / "home" / ".cache" if home == "writable" else tiny / "tmp"
    assert where.is_relative_to(expected)
    assert told(start(tiny, **changes)) == ([], where)


@pytest.mark.parametrize("damage", ["index", "data"])
def test_damaged_code_is_compiled_again(tiny: Path, damage: str) -> None:
    cache = str(tiny / "cache")
    _, where = told(start(tiny, GOLDILOCKS_CACHE=cache))
    (path,) = where.glob("*outer*.nbi" if damage == "index" else "*outer*.nbc")
    path.write_bytes(b"")
    assert "tiny:outer" in told(start(tiny, GOLDILOCKS_CACHE=cache))[0]
    assert told(start(tiny, GOLDILOCKS_CACHE=cache))[0] == []


def test_a_full_disk_costs_the_cache_alone(tiny: Path) -> None:
    before = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    process = start(tiny, before, GOLDILOCKS_CACHE=str(tiny / "cache"))
    compiled, where = told(process)
    assert compiled == BOTH
    assert not list(where.glob("*.nbc"))


def test_an_error_in_a_kernel_stays_what_it_is(tiny: Path) -> None:
    code = "import tiny\ntry:\n    tiny.outer('x')\nexcept Exception as e:\n    print(type(e).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment(tiny, GOLDILOCKS_CACHE=str(tiny / "cache")),
    )
    assert done.stdout == "TypingError\n"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Path]]:
    """The folders that are looked at in this process, in their order."""
    found = {name: tmp_path / name for name in ("cache", "user", "tmp")}
    found["tmp"].mkdir()
    monkeypatch.setenv("GOLDILOCKS_CACHE", str(found["cache"]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(found["user"]))
    monkeypatch.setattr("tempfile.tempdir", str(found["tmp"]))
    kernel_folder.cache_clear()
    yield found
    kernel_folder.cache_clear()


def read_only(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Let nothing be written below some folders, as on a file system that is read-only."""
    access = os.access

    def refused(path: Path, mode: int) -> bool:
        below = any(Path(path).is_relative_to(folder) for folder in folders)
        return access(path, mode) and not (below and mode & os.W_OK)

    monkeypatch.setattr(os, "access", refused)


def filled(folder: Path) -> Path:
    """Put something that looks like code of a kernel there."""
    (folder / "kpoints_ab").mkdir(parents=True)
    name = kernel_modules()[0].stem
    for ending in ("nbi", "1.nbc"):
        (folder / "kpoints_ab" / f"{name}.f-17.py311.{ending}").write_bytes(b"code")
    assert has_code(folder)
    return folder


def test_code_of_a_read_only_cache_is_used(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    warm = filled(kernel_folder())
    read_only(monkeypatch, places["cache"])
    kernel_folder.cache_clear()
    copy = kernel_folder()
    assert copy.is_relative_to(places["user"])
    assert [p.read_bytes() for p in sorted(copy.rglob("*.nb?"))] == [b"code"] * 2
    assert copy.name == warm.name
    read_only(monkeypatch, places["cache"], places["user"])
    kernel_folder.cache_clear()
    assert kernel_folder().is_relative_to(places["tmp"] / f"goldilocks-batch-{os.getuid()}")
    assert has_code(kernel_folder())


@pytest.mark.parametrize("who", ["folder", "file"])
def test_code_that_others_could_have_written_is_not(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    warm = filled(kernel_folder())
    (warm if who == "folder" else next(warm.rglob("*.nbc"))).chmod(0o777)
    read_only(monkeypatch, places["cache"])
    kernel_folder.cache_clear()
    assert not has_code(kernel_folder())


def test_a_folder_that_others_can_write_to_is_not_used(places: dict[str, Path]) -> None:
    first = kernel_folder()
    assert first.is_relative_to(places["cache"])
    first.chmod(0o777)
    kernel_folder.cache_clear()
    assert kernel_folder().is_relative_to(places["user"])


def test_a_temporary_folder_laid_out_by_others_is_not_used(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only(monkeypatch, places["cache"], places["user"])
    theirs = places["tmp"] / f"goldilocks-batch-{os.getuid()}"
    theirs.mkdir()
    theirs.chmod(0o777)
    mine = kernel_folder()
    assert mine.is_relative_to(places["tmp"])
    assert not mine.is_relative_to(theirs)
    assert stat.S_IMODE(mine.parents[1].stat().st_mode) == 0o700


def test_new_source_is_new_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "_PACKAGE", tmp_path)
    (tmp_path / "features").mkdir()
    one, other = tmp_path / "features" / "one.py", tmp_path / "features" / "other.py"
    one.write_text("a = 1\n")
    other.write_text("b = 2\n")
    digests = [source_digest([one, other])]
    one.write_text("a = 3\n")
    digests.append(source_digest([one, other]))
    one.write_text("a = 3\nb")
    other.write_text(" = 2\n")
    digests.append(source_digest([one, other]))
    one.rename(tmp_path / "features" / "two.py")
    digests.append(source_digest([tmp_path / "features" / "two.py", other]))
    assert len(set(digests)) == len(digests)
    source_of.cache_clear()
    try:
        assert source_of("features") == digests[-1]
        assert source_of("features", "kpoints") == digests[-1]
    finally:
        source_of.cache_clear()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_every_kernel_is_compiled_in_this_way(path: Path) -> None:
    if path.parent.name == "core":
        return
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(njit|vectorize|guvectorize|numba)\b", re.sub(r"(?m)#.*$", "", text)), path
    assert ("@kernel(" in text) == (path in kernel_modules())


def test_what_is_warmed_up_exists() -> None:
    names: Sequence[str] = list(json.loads(WRITTEN.read_text()))
    code = (
        "import importlib, json, sys\n"
        "from goldilocks_batch.core.compiled import defined\n"
        "names = json.loads(sys.argv[1])\n"
        "[importlib.import_module(name.partition(':')[0]) for name in names]\n"
        "print(json.dumps(sorted({name.partition(':')[0] for name in defined()})))\n"
        "assert not set(names) - set(defined()), set(names) - set(defined())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(names)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    paths = (path.relative_to(PACKAGE.parent).with_suffix("") for path in kernel_modules())
    modules = {".".join(path.parts).removesuffix(".__init__") for path in paths}
    assert set(json.loads(done.stdout)) == modules, "kernels of a whole module are not in the list"


@pytest.mark.slow
@pytest.mark.shared
def test_after_warming_up_nothing_is_compiled(tmp_path: Path, shared: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from goldilocks_batch.core.compiled import compiled_here, warm_up\n"
        "from tests.kernels import work\n"
        "said = []\n"
        "kernels, compiled = warm_up(said.append)\n"
        "assert len(said) == len(set(said)) <= kernels, said\n"  # the others are called by these alone
        "assert compiled == kernels or compiled > kernels / 2, (kernels, compiled)\n"
        "assert warm_up() == (kernels, 0)\n"
        "before = compiled_here()\n"
        "work(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "assert compiled_here() == before, compiled_here()[len(before):]\n"
    )
    (tmp_path / "work").mkdir()
    places = {
        "NUMBA_CACHE_DIR": str(tmp_path / "code"),
        "GOLDILOCKS_CACHE": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "work"), str(shared)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | places,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_first_use_is_announced(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    caplog.set_level("INFO", "goldilocks_batch")
    assert announce()
    assert "once per installation" in caplog.text
    caplog.clear()
    filled(kernel_folder())
    assert not announce()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(places["user"]))
    assert announce()
    filled(places["user"])
    assert not announce()
    assert len(caplog.records) == 1
