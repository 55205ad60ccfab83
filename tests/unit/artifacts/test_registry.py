from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import pytest

from goldilocks_batch.artifacts.places import Places
from goldilocks_batch.artifacts.registry import load_registry
from goldilocks_batch.artifacts.resolve import resolve
from goldilocks_batch.core.errors import ErrorCode, ModelError

BODY = b"weights"
DIGEST = hashlib.sha256(BODY).hexdigest()

REGISTRY = f"""
[files.one]
repository = "org/repo"
path = "one.bin"
sha256 = "{DIGEST}"
[folders.many]
repository = "org/repo"
path = "many"
[models.m]
kind = "alignn"
title = "a model"
[models.m.levels."0.95"]
files = {{ atoms = "one", lower = "many", median = "many", upper = "many" }}
correction = 0.5
"""


def registry(tmp_path: Path, text: str = REGISTRY) -> Path:
    path = tmp_path / "registry.toml"
    path.write_text(text, encoding="utf-8")
    return path


def artifacts(tmp_path: Path) -> Path:
    folder = tmp_path / "hub" / "org" / "repo"
    (folder / "many").mkdir(parents=True)
    (folder / "one.bin").write_bytes(BODY)
    (folder / "many" / "b.ckpt").write_bytes(b"b")
    (folder / "many" / "a.ckpt").write_bytes(b"a")
    (folder / "many" / "readme.md").write_bytes(b"not a checkpoint")
    return tmp_path / "hub"


def test_the_packages_own_registry_knows_the_published_models() -> None:
    own = load_registry()
    assert set(own.models) == {"alignn", "baseline", "k_index", "rf"}
    assert own.files["qrf95"].sha256 == "2647b976a57637cc34e4874f3b0ff3436a7c032761b774fdd9e56e69fddaffcc"
    assert own.model("rf").levels["0.90"].correction == -0.0023
    assert own.model("alignn").levels["0.95"].files["lower"] == "alignn95"
    assert own.model("baseline").levels["0.85"].kdist == 0.205


def test_files_are_found_checked_and_described(tmp_path: Path) -> None:
    found = resolve(load_registry(registry(tmp_path)), "m", 0.95, Places(artifacts(tmp_path)))
    assert [(file.role, file.path.name, file.pinned) for file in found.files] == [
        ("atoms", "one.bin", True),
        *((role, name, False) for role in ("lower", "median", "upper") for name in ("a.ckpt", "b.ckpt")),
    ]
    assert found.correction == 0.5
    assert found.file("atoms").read_bytes() == BODY
    assert pickle.loads(pickle.dumps(found)) == found
    assert len(found.digest) == 64


def test_another_content_is_another_digest(tmp_path: Path) -> None:
    hub = artifacts(tmp_path)
    before = resolve(load_registry(registry(tmp_path)), "m", 0.95, Places(hub)).digest
    (hub / "org" / "repo" / "many" / "a.ckpt").write_bytes(b"c")
    assert resolve(load_registry(registry(tmp_path)), "m", 0.95, Places(hub)).digest != before


def test_an_altered_file_is_refused_with_both_digests(tmp_path: Path) -> None:
    hub = artifacts(tmp_path)
    (hub / "org" / "repo" / "one.bin").write_bytes(b"other")
    with pytest.raises(ModelError, match=DIGEST) as caught:
        resolve(load_registry(registry(tmp_path)), "m", 0.95, Places(hub))
    assert caught.value.code == ErrorCode.ARTIFACT_DIGEST


def test_a_file_of_another_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    sized = REGISTRY.replace('path = "one.bin"', f'path = "one.bin"\nsize = {len(BODY) + 1}')
    with pytest.raises(
        ModelError, match=f"has {len(BODY)} bytes, the registry expects {len(BODY) + 1}"
    ) as caught:
        resolve(load_registry(registry(tmp_path, sized)), "m", 0.95, Places(artifacts(tmp_path)))
    assert caught.value.code == ErrorCode.ARTIFACT_DIGEST


def test_a_registry_is_read_afresh_every_time(tmp_path: Path) -> None:
    assert load_registry(registry(tmp_path)).model("m").title == "a model"
    changed = registry(tmp_path, REGISTRY.replace("a model", "another"))
    assert load_registry(changed).model("m").title == "another"


def test_a_file_altered_after_it_was_checked_is_refused(tmp_path: Path) -> None:
    hub = artifacts(tmp_path)
    found = resolve(load_registry(registry(tmp_path)), "m", 0.95, Places(hub))
    (hub / "org" / "repo" / "one.bin").write_bytes(b"other!!")
    with pytest.raises(ModelError, match="changed since"):
        found.file("atoms")
    (hub / "org" / "repo" / "one.bin").unlink()
    with pytest.raises(ModelError, match="gone"):
        found.file("atoms")


def test_a_file_touched_but_not_altered_is_the_same(tmp_path: Path) -> None:
    hub = artifacts(tmp_path)
    found = resolve(load_registry(registry(tmp_path)), "m", 0.95, Places(hub))
    (hub / "org" / "repo" / "one.bin").write_bytes(BODY)
    assert found.file("atoms").name == "one.bin"


@pytest.mark.parametrize("missing", ["one.bin", "many"])
def test_what_is_missing_is_named_with_where_it_was_looked_for(tmp_path: Path, missing: str) -> None:
    hub = artifacts(tmp_path)
    path = hub / "org" / "repo" / missing
    for file in path.glob("*.ckpt") if path.is_dir() else [path]:
        file.unlink()
    with pytest.raises(ModelError, match=f"org/repo/{missing}") as caught:
        resolve(load_registry(registry(tmp_path)), "m", 0.95, Places(hub))
    assert caught.value.code == ErrorCode.ARTIFACT_MISSING
    assert "--model mc3d" in caught.value.message


def test_without_a_folder_the_message_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--artifacts"):
        resolve(load_registry(registry(tmp_path)), "m", 0.95, Places())


def test_an_incomplete_ensemble_is_refused(tmp_path: Path) -> None:
    pinned = REGISTRY + f'[folders.many.sha256]\n"a.ckpt" = "{hashlib.sha256(b"a").hexdigest()}"\n'
    with pytest.raises(ModelError, match="an ensemble must be whole"):
        resolve(load_registry(registry(tmp_path, pinned)), "m", 0.95, Places(artifacts(tmp_path)))


def test_files_that_nobody_pins_are_remarked_on(tmp_path: Path) -> None:
    known, hub = load_registry(registry(tmp_path)), artifacts(tmp_path)
    (remark,) = resolve(known, "m", 0.95, Places(hub)).remarks
    assert "many/a.ckpt" in remark
    assert "one.bin" not in remark
    assert "models pull" in remark
    pin = {"sha256": DIGEST, "size_bytes": 1, "revision": "r"}
    for name in "ab":
        (hub / f"org/repo/many/{name}.ckpt").write_bytes(BODY)
    pins = {"files": {f"many/{name}.ckpt": pin for name in "ab"}}
    (hub / "org/repo/goldilocks-lock.json").write_text(json.dumps(pins))
    assert resolve(known, "m", 0.95, Places(hub)).remarks == ()


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"org/repo/one\.bin, org/repo/many: not in"):
        resolve(load_registry(registry(tmp_path)), "m", 0.95, Places(tmp_path))


def test_unknown_models_and_levels_name_the_known_ones(tmp_path: Path) -> None:
    known = load_registry(registry(tmp_path))
    with pytest.raises(ModelError, match="no model 'n'; there are: m, mc3d; or name the folder"):
        resolve(known, "n", 0.95, Places(tmp_path))
    with pytest.raises(ModelError, match=r"there is no folder \./n; there are"):
        resolve(known, "./n", 0.95, Places(tmp_path))
    with pytest.raises(ModelError, match=r"it has 0\.95"):
        resolve(known, "m", 0.90, Places(tmp_path))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("[files.one]", "[files.one"), "cannot be read"),
        (('path = "one.bin"', 'path = "../one.bin"'), "inside the repository"),
        (('path = "one.bin"', 'path = "/etc/passwd"'), "inside the repository"),
        (('path = "one.bin"', 'pfad = "one.bin"'), r"files\.one\.pfad: unknown key, did you mean 'path'"),
        (("correction = 0.5", "corection = 0.5"), "unknown key, did you mean 'correction'"),
        (('title = "a model"', 'title = "a"\nlicense = "MIT"'), "unknown key, did you mean 'licence'"),
        (("[models.m]", "[colour]\n[models.m]"), "colour: unknown key"),
        (('median = "many", ', ""), "names no file as median"),
        (('atoms = "one"', 'atoms = "many"'), "needs one file as atoms"),
        (("correction = 0.5", "kdist = 0.5"), "a kdist belongs to every constant"),
        (('kind = "alignn"', 'kind = "constant"'), "a kdist belongs to every constant"),
        (('"org/repo"', '"../../org/repo"'), "repository"),
        (('"org/repo"', '"../repo"'), "repository"),
        (('"org/repo"', '"org/.."'), "repository"),
        (('path = "many"', 'path = "many"\nending = "/../../*"'), "ending"),
        (('path = "many"', f'path = "many"\nsha256 = {{ "../a.ckpt" = "{DIGEST}" }}'), "sha256"),
        (('path = "many"', 'path = "many"\nsha256 = { "a.ckpt" = "abc" }'), "sha256"),
        (('atoms = "one"', 'atoms = "two"'), "'two' as atoms"),
        ((DIGEST, "abc"), "sha256"),
        (('kind = "alignn"', 'kind = "oracle"'), "kind"),
    ],
)
def test_a_registry_that_is_not_understood_is_refused(
    tmp_path: Path, change: tuple[str, str], complaint: str
) -> None:
    assert change[0] in REGISTRY
    with pytest.raises(ModelError, match=complaint) as caught:
        load_registry(registry(tmp_path, REGISTRY.replace(*change)))
    assert caught.value.code == ErrorCode.REGISTRY_INVALID


def test_a_missing_registry_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.toml cannot be read"):
        load_registry(tmp_path / "none.toml")
