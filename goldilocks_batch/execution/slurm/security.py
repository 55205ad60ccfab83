"""Certificates of one run: whoever does not hold the key cannot speak to its scheduler or workers."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from distributed.security import Security

from goldilocks_batch.core.errors import ConfigError, ErrorCode

__all__ = ["credentials", "issue_certificate"]

#: Node clocks differ: the certificate is valid from a day ago.
_BEFORE = timedelta(days=1)
_AFTER = timedelta(days=366)


def issue_certificate(folder: Path) -> Security:
    """Make a key and a self-signed certificate, the only one that client, scheduler and workers accept.

    Args:
        folder: made with mode 0700 for ``key.pem`` and ``certificate.pem``, both 0600; what an earlier
            attempt left there is replaced.

    Returns:
        Dask's security object, by file names, refusing connections without TLS.

    Raises:
        ConfigError: the package ``cryptography`` is not installed.
    """
    key, certificate = _pair()
    names = _names(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name, content in (("key", key), ("cert", certificate)):
        names[name].unlink(missing_ok=True)
        descriptor = os.open(names[name], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    return credentials(folder)


def credentials(folder: Path) -> Security:
    """Dask's security object for what :func:`issue_certificate` leaves in a folder; nothing is read."""
    names = _names(folder)
    roles = {f"tls_{role}_{name}": str(path) for role in _ROLES for name, path in names.items()}
    return Security(tls_ca_file=str(names["cert"]), require_encryption=True, **roles)


_ROLES = ("client", "scheduler", "worker")


def _names(folder: Path) -> dict[str, Path]:
    return {"key": folder / "key.pem", "cert": folder / "certificate.pem"}


def _pair() -> tuple[bytes, bytes]:
    """A private key and its certificate, PEM."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID,
            "connections between nodes are encrypted, which needs the package 'cryptography': "
            "pip install 'goldilocks-batch[slurm]'",
        ) from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "goldilocks-batch run")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _AFTER)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret, certificate.public_bytes(serialization.Encoding.PEM)
