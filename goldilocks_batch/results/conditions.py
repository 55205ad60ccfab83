"""Conditions on the columns of a table as people write them, parsed and never evaluated as code.

A condition is a column, an operator and a value: ``kdist<0.15``, ``status=failed``, ``flags=wide_interval``.
An expression joins conditions by ``and``, ``or``, ``not`` and parentheses, in the syntax of Python, by whose
parser it is read: ``status == "ok" and n_kpoints < 2000``.  A value is taken as it is written, in quotation
marks or without.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from goldilocks_batch.core.errors import ConfigError, ErrorCode

__all__ = ["Condition", "Expression", "conditions_of"]

#: Gives the rows for which a condition holds.
Test = Callable[["Condition"], NDArray[np.bool_]]

_SIMPLE = re.compile(r"\s*(?P<name>\w+)\s*(?P<operator>!=|<=|>=|==|=|<|>)\s*(?P<value>.*?)\s*")
#: A single ``=`` outside of quotation marks, which Python would take for an assignment.
_SINGLE = re.compile(r"""("[^"]*"|'[^']*')|(?<![<>=!])=(?!=)""")
_JOINED = re.compile(r"\b(and|or|not)\b|[()]")
_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "=", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "=", ast.IsNot: "!=", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
_TURNED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<=", "in": "=", "not in": "!="}
#: Characters of the longest expression that is looked at.
_LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison.

    Attributes:
        name: of a column.
        operator: ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        value: what it is compared with, without quotation marks; nothing for null.
        text: the condition as it was written.
    """

    name: str
    operator: str
    value: str
    text: str

    def holds(self, test: Test) -> NDArray[np.bool_]:
        """The rows for which it holds."""
        return test(self)

    def conditions(self) -> Iterator[Condition]:
        """The condition itself."""
        yield self


@dataclass(frozen=True, slots=True)
class Expression:
    """Conditions joined.

    Attributes:
        join: ``and``, ``or``, or ``not`` of one part.
        parts: what is joined.
    """

    join: Literal["and", "or", "not"]
    parts: Sequence[Condition | Expression]

    def holds(self, test: Test) -> NDArray[np.bool_]:
        """The rows for which it holds."""
        masks = [part.holds(test) for part in self.parts]
        if self.join == "not":
            return ~masks[0]
        return reduce(np.logical_and if self.join == "and" else np.logical_or, masks)

    def conditions(self) -> Iterator[Condition]:
        """All conditions in it."""
        for part in self.parts:
            yield from part.conditions()


@lru_cache(maxsize=64)
def conditions_of(text: str) -> Condition | Expression:
    """Read a condition, or several joined.

    Raises:
        ConfigError: CONFIG_INVALID, it is none.
    """
    source = _SINGLE.sub(lambda found: found[1] or "==", text.strip())
    try:
        if len(source) > _LONGEST:
            raise ValueError("too long")
        return _parsed(ast.parse(source, mode="eval").body, source, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        # a value that Python cannot read, such as 8x8x1; joined by others it needs quotation marks
        found = _SIMPLE.fullmatch(text)
        if found is None or _JOINED.search(re.sub(r"\"[^\"]*\"|'[^']*'", "", found["value"])):
            raise _no_condition(text) from error
    operator = found["operator"].replace("==", "=")
    return Condition(found["name"], operator, found["value"].strip("\"'"), text)


def _parsed(node: ast.expr, source: str, text: str) -> Condition | Expression:
    match node:
        case ast.BoolOp():
            join: Literal["and", "or"] = "and" if isinstance(node.op, ast.And) else "or"
            return Expression(join, [_parsed(value, source, text) for value in node.values])
        case ast.UnaryOp(op=ast.Not()):
            return Expression("not", [_parsed(node.operand, source, text)])
        case ast.Compare():
            sides = [node.left, *node.comparators]
            found = [
                _compared(left, operator, right, source, text)
                for left, operator, right in zip(sides[:-1], node.ops, sides[1:], strict=True)
            ]
            return found[0] if len(found) == 1 else Expression("and", found)
    raise _no_condition(text)


def _compared(left: ast.expr, operator: ast.cmpop, right: ast.expr, source: str, text: str) -> Condition:
    """One comparison of a chain; the column may stand on either side, after ``in`` on the right."""
    sign = _OPERATORS[type(operator)]
    if isinstance(left, ast.Name) and sign in _TURNED and not sign.endswith("in"):
        return Condition(left.id, sign, _value(right, source), text)
    if isinstance(right, ast.Name):
        return Condition(right.id, _TURNED[sign], _value(left, source), text)
    raise _no_condition(text)


def _value(node: ast.expr, source: str) -> str:
    """A value as it is written."""
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, str)):
        return node.value or ""
    return ast.get_source_segment(source, node) or ""


def _no_condition(text: str) -> ConfigError:
    return ConfigError(
        ErrorCode.CONFIG_INVALID,
        f"'{text}' is no condition: write a column, one of = != < <= > >=, and a value, such as 'kdist<0.15' "
        "(in quotation marks, or the shell takes < and > for itself), several joined by and, or, not and "
        "parentheses",
    )
