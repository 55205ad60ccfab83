"""The protocol of labels: what they are labels of, said in the table and from there in a model's record.

Energies of two codes, functionals or smearings converge at different meshes, so labels of different protocols
are not labels of one quantity.  A table's metadata hold the protocol, and every row its digest, which
survives when tables are joined.  The version of the code is told, but is no part of the digest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from goldilocks_batch.config.convergence import ConvergeConfig, digest_of
from goldilocks_batch.convergence.pseudos import Family

__all__ = ["described", "digest_of_protocol", "protocol_of"]

#: Characters of a protocol's digest.
_SHORT = 16


def protocol_of(config: ConvergeConfig, family: Family) -> dict[str, Any]:
    """What labels of a configuration are labels of, as plain JSON values.

    Args:
        config: the configuration.
        family: its pseudopotentials.
    """
    code = config.decided_code
    found: dict[str, Any] = {
        "code": code.calculator,
        "parameters": code.parameters,
        "tolerances": list(config.tolerances),
        "rule": f"tail of {config.ladder.tail}",
    }
    if code.calculator == "espresso":
        functionals = sorted({pseudo.functional for pseudo in family.of.values() if pseudo.functional})
        found |= {
            "functional": functionals,
            "pseudopotentials": digest_of(family.identity())[:_SHORT],
            "cutoffs": family.table,
            "smearing": code.smearing,
            "degauss": code.degauss,
            "conv_thr": code.conv_thr,
        }
    return found


def digest_of_protocol(protocol: dict[str, Any]) -> str:
    """A short digest of a protocol; tolerances, which have columns of their own, do not enter it."""
    return digest_of({name: value for name, value in protocol.items() if name != "tolerances"})[:_SHORT]


def described(protocol: dict[str, Any], versions: Iterable[str]) -> dict[str, Any]:
    """A protocol as it is kept in a table: with the versions of the code that computed its labels."""
    return protocol | {"code_versions": sorted(versions), "digest": digest_of_protocol(protocol)}
