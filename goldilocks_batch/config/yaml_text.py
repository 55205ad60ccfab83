"""YAML as people write it: what no configuration needs, and what could mean two things, is refused."""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["parse_yaml"]

#: Values of a configuration, those that aliases repeat counted each time: there are some fifty options.
_MANY = 10_000


def parse_yaml(text: str) -> Any:
    """Return the value that a YAML text stands for: plain values, lists and mappings.

    Raises:
        ValueError: it is no YAML; it is nested too deeply, repeats itself endlessly through aliases, or names
            a key twice.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """Takes a key of a mapping once only; PyYAML would take the last of several."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                named = key.tag, key.value
                if named in seen:
                    line = key.start_mark.line + 1
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is there twice, again in line {line}; keep one"
                    )
                seen.add(named)
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


def _count(node: yaml.Node, counted: dict[yaml.Node, int | None]) -> int:
    """How many values a node stands for, with all that its aliases stand for."""
    if node in counted:
        known = counted[node]
        if known is None:
            raise ValueError(f"line {node.start_mark.line + 1} holds an alias of itself")
        return known
    counted[node] = None
    below: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        below = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        below = node.value
    total = 1 + sum(_count(part, counted) for part in below)
    if total > _MANY:
        raise ValueError(f"it stands for more than {_MANY} values")
    counted[node] = total
    return total
