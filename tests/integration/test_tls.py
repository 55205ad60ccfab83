"""Joining a cluster that speaks TLS, with the credentials of Dask's own configuration and without."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from goldilocks_batch import read_results
from goldilocks_batch.execution.slurm.security import issue_certificate
from tests.integration.runs import command
from tests.integration.site import Site

pytestmark = pytest.mark.slow


class EncryptedSite(Site):
    """Its scheduler and workers accept the holders of one key."""

    def __init__(self, folder: Path) -> None:
        self.private = folder / "private"
        issue_certificate(self.private)
        super().__init__(folder)

    def _start(self, kind: str, *options: str, **further: Any) -> subprocess.Popen[bytes]:
        key, certificate = (str(self.private / name) for name in ("key.pem", "certificate.pem"))
        tls = ("--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key)
        return super()._start(kind, "--protocol", "tls", *tls, *options, **further)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[EncryptedSite]:
    with EncryptedSite(tmp_path) as cluster:
        yield cluster


def test_credentials_come_from_the_configuration_of_dask(
    site: EncryptedSite, manifest: Path, undisturbed: Path, tmp_path: Path
) -> None:
    site.add_worker()
    arguments = command(manifest, tmp_path / "run", "--cluster", str(site.file))
    assert '"tls://' in site.file.read_text()
    refused = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "CLUSTER_FAILED" in refused.stderr
    assert "Traceback" not in refused.stderr
    prefix, certificate = "DASK_DISTRIBUTED__COMM__TLS", str(site.private / "certificate.pem")
    credentials = {
        f"{prefix}__CA_FILE": certificate,
        f"{prefix}__CLIENT__CERT": certificate,
        f"{prefix}__CLIENT__KEY": str(site.private / "key.pem"),
    }
    done = subprocess.run(
        arguments, env=os.environ | credentials, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    assert read_results(tmp_path / "run").equals(read_results(undisturbed))
