"""Ids of structures that are files: from their names, and different from each other."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldilocks_batch.structures.sources.formats import id_of, safe_text

__all__ = ["Named", "distinct", "told"]

_log = logging.getLogger(__name__)
#: Ids that are told of by name.
_TOLD = 5


@dataclass(frozen=True, slots=True)
class Named:
    """Files with a common root: of a directory, in an archive, or a single one.

    Attributes:
        root: the directory, the archive, or the folder of a single file.
        names: paths relative to it.
    """

    root: Path
    names: Sequence[str]


def distinct(groups: Sequence[Named]) -> list[dict[str, str]]:
    """Return the ids of files that would share theirs with other files.

    They are called by their path with its ending, or after the folders or the archive that hold them,
    whatever is shortest and tells all files of one id apart.  Files that nothing tells apart, as the same
    one named twice, keep their id.

    Args:
        groups: the files of each input.

    Returns:
        For each group a mapping from names to ids, of those files alone that are not called as usual.
    """
    taken: set[str] = set()
    shared: set[str] = set()
    for group in groups:
        for name in group.names:
            usual = id_of(name)
            (shared if usual in taken else taken).add(usual)
    if not shared:
        return [{} for _ in groups]
    members: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for index, group in enumerate(groups):
        for name in group.names:
            if (usual := id_of(name)) in shared:
                members[usual].append((index, name))
    called: list[dict[str, str]] = [{} for _ in groups]
    for usual, files in members.items():
        for ids in _choices(files, groups):
            if len(set(ids)) == len(ids) and not taken.difference({usual}).intersection(ids):
                taken.update(ids)
                for (index, name), own in zip(files, ids, strict=True):
                    called[index][name] = own
                break
    return called


def _choices(files: Sequence[tuple[int, str]], groups: Sequence[Named]) -> Iterator[list[str]]:
    """Longer and longer ids for some files."""
    roots = [groups[index].root.parts for index, _ in files]
    yield [safe_text(name) for _, name in files]
    for above in range(1, max(map(len, roots)) + 1):
        prefixes = [safe_text("/".join(root[-above:]).replace("//", "/")) for root in roots]
        pairs = list(zip(prefixes, files, strict=True))
        yield [f"{prefix}/{id_of(name)}" for prefix, (_, name) in pairs]
        yield [f"{prefix}/{safe_text(name)}" for prefix, (_, name) in pairs]


def told(groups: Sequence[Named], called: Iterable[Mapping[str, str]]) -> None:
    """Say in the log which files are not called as usual."""
    pairs = [
        (safe_text(str(group.root / name)), own)
        for group, names in zip(groups, called, strict=True)
        for name, own in names.items()
    ]
    if pairs:
        named = ", ".join(f"{path} is {own!r}" for path, own in pairs[:_TOLD])
        more = f", and {len(pairs) - _TOLD:,} more" if len(pairs) > _TOLD else ""
        _log.warning(
            "%d files would share their ids with others and are called by more of their paths: %s%s "
            "(--strict-ids refuses them)",
            len(pairs),
            named,
            more,
        )
