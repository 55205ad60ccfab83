"""The certificate of a run: who may read the key, and from when it counts."""

from __future__ import annotations

import ssl
import stat
import time
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from goldilocks_batch.execution.slurm.security import issue_certificate


def test_only_the_owner_reads_the_key(tmp_path: Path) -> None:
    folder = tmp_path / "private"
    folder.mkdir(mode=0o755)
    (folder / "key.pem").write_text("of an earlier attempt")
    (folder / "key.pem").chmod(0o644)
    security = issue_certificate(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "key.pem": 0o600,
        "certificate.pem": 0o600,
    }
    assert "PRIVATE KEY" in (folder / "key.pem").read_text()
    assert security.require_encryption


def test_every_run_has_its_own_key(tmp_path: Path) -> None:
    issue_certificate(tmp_path / "a")
    issue_certificate(tmp_path / "b")
    assert (tmp_path / "a" / "key.pem").read_text() != (tmp_path / "b" / "key.pem").read_text()


def test_nodes_whose_clocks_are_hours_wrong_accept_it(tmp_path: Path) -> None:
    issue_certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
    (certificate,) = context.get_ca_certs()
    begins, ends = (ssl.cert_time_to_seconds(str(certificate[name])) for name in ("notBefore", "notAfter"))
    assert begins < time.time() - 12 * 3600
    assert ends > time.time() + 300 * 86400
