"""A Dask cluster that somebody else has started."""

from __future__ import annotations

import ipaddress
import json
import logging
from pathlib import Path
from urllib.parse import urlsplit

from distributed.diagnostics.plugin import WorkerPlugin

from goldilocks_batch.core.errors import ConfigError, ErrorCode

__all__ = ["JoinedPool"]

_log = logging.getLogger(__name__)


class JoinedPool:
    """The workers of a cluster that exists; it is left as it was found.

    TLS credentials are taken from Dask's own configuration (``distributed.comm.tls``).

    Args:
        where: the scheduler's address, or its scheduler file (JSON).
        plain_tcp: join without TLS although the connection leaves this machine.

    Raises:
        ConfigError: the address is none, the file is none, or the connection would not be encrypted.
    """

    security = None
    dashboard: str | None = None
    seats = 1
    plugins: tuple[WorkerPlugin, ...] = ()

    def __init__(self, where: str, plain_tcp: bool) -> None:
        self._had_some = True
        self.target = where if "://" in where else _address_in(Path(where))
        parts = urlsplit(self.target)
        if parts.scheme not in ("tcp", "tls") or parts.hostname is None or parts.port is None:
            raise ConfigError(
                ErrorCode.CONFIG_INVALID,
                f"--cluster {where}: expected tls://host:port, tcp://host:port or a scheduler file",
            )
        if parts.scheme == "tcp" and not (plain_tcp or _is_loopback(parts.hostname)):
            raise ConfigError(
                ErrorCode.CONFIG_INVALID,
                f"{self.target} has no TLS: anybody on that network could run code as you. Start the cluster "
                "with TLS, or say plain_tcp: true if the network is private",
            )

    def tend(self, workers: int) -> None:
        """Whoever started the workers looks after them; say when there are none."""
        if not workers and self._had_some:
            _log.warning("no workers at %s; waiting for some", self.target)
        self._had_some = workers > 0

    def close(self) -> None:
        """Leave the cluster running."""


def _address_in(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            ErrorCode.CONFIG_INVALID, f"--cluster {path}: neither an address nor a scheduler file: {error!r}"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
