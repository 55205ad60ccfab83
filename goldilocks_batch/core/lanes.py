"""Lanes: several numbers or bytes side by side that kernels calculate with as if they were one.

LLVM compiles arithmetic of such vectors to the instructions that the processor has for them, AVX-512, AVX2 or
others, where a loop over a constant number of entries of an array stays a loop over single numbers.

Within kernels, lanes of one width are added, subtracted, multiplied and divided by ``+``, ``-``, ``*`` and
``/``; bytes, which are signed, are added, subtracted, multiplied and joined bit by bit, ``|``.  Arrays that
they are read from and written to are flat and contiguous.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

__all__ = [
    *("count_greater", "fill256", "fill4", "fill8", "load256", "load4", "load8"),
    *("lowest_clear", "root", "store", "where_equal", "where_greater"),
]

_INDEX = ir.IntType(32)
#: What LLVM calls each kind of entry.
_ENTRIES = {types.float64: ir.DoubleType(), types.int8: ir.IntType(8)}


class _Lanes(types.Type):
    """Type of so many float64 or int8 side by side."""

    def __init__(self, count: int, entry: Any = types.float64) -> None:
        self.count, self.entry = count, entry
        super().__init__(name=f"lanes{count}{'' if entry is types.float64 else entry}")


@register_model(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _vector(kind))


def _vector(kind: Any) -> Any:
    return ir.VectorType(_ENTRIES[kind.entry], kind.count)


def _aligned(kind: Any) -> int:
    """Bytes: all that numpy promises of an entry's place."""
    return int(kind.entry.bitwidth) // 8


def _place(context: Any, builder: Any, signature: Any, arguments: Any, kind: Any) -> Any:
    """Pointer to the lanes of a number, the second argument, in an array, the first."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    offset = builder.mul(arguments[1], ir.Constant(arguments[1].type, kind.count))
    return builder.bitcast(builder.gep(array.data, [offset]), _vector(kind).as_pointer())


def _loads(kind: Any) -> Any:
    @intrinsic
    def load(_typing: Any, array: Any, _index: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.load(_place(context, builder, signature, arguments, kind), align=_aligned(kind))

        return kind(array, types.intp), code

    return load


def _fills(kind: Any) -> Any:
    @intrinsic
    def fill(_typing: Any, _value: Any) -> Any:
        def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            lanes = ir.Constant(_vector(kind), ir.Undefined)
            first = builder.insert_element(lanes, arguments[0], ir.Constant(_INDEX, 0))
            every = ir.Constant(ir.VectorType(_INDEX, kind.count), [0] * kind.count)
            return builder.shuffle_vector(first, lanes, every)

        return kind(kind.entry), code

    return fill


_FOUR, _EIGHT, _BYTES = _Lanes(4), _Lanes(8), _Lanes(256, types.int8)
#: ``load4(array, i)``: entries 4 i to 4 i + 3.
load4 = _loads(_FOUR)
#: ``load8(array, i)``: entries 8 i to 8 i + 7.
load8 = _loads(_EIGHT)
#: ``load256(array, i)``: bytes 256 i to 256 i + 255.
load256 = _loads(_BYTES)
#: ``fill4(value)``: the value in every lane.
fill4 = _fills(_FOUR)
#: ``fill8(value)``: the value in every lane.
fill8 = _fills(_EIGHT)
#: ``fill256(value)``: the byte in every lane.
fill256 = _fills(_BYTES)


@intrinsic
def store(_typing: Any, array: Any, _index: Any, lanes: Any) -> Any:
    """``store(array, i, lanes)``: write to the entries that a load of that width reads."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments, lanes)
        builder.store(arguments[2], place, align=_aligned(lanes))
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), code


@intrinsic
def where_greater(_typing: Any, one: Any, other: Any, greater: Any, else_: Any) -> Any:
    """``where_greater(a, b, x, y)``: x in lanes in which a > b, y in the others and where one is NaN."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.select(_compared(builder, ">", one, arguments[:2]), *arguments[2:])

    return one(one, other, greater, else_), code


@intrinsic
def where_equal(_typing: Any, one: Any, other: Any, equal: Any, else_: Any) -> Any:
    """``where_equal(a, b, x, y)``: x in lanes in which a and b are the same, y in the others."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.select(_compared(builder, "==", one, arguments[:2]), *arguments[2:])

    return one(one, other, equal, else_), code


@intrinsic
def count_greater(_typing: Any, one: Any, other: Any) -> Any:
    """``count_greater(a, b)``: in how many lanes a > b."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        greater = builder.bitcast(_compared(builder, ">", one, arguments), ir.IntType(one.count))
        return builder.zext(builder.ctpop(greater), ir.IntType(64))

    return types.int64(one, other), code


def _compared(builder: Any, comparison: str, kind: Any, arguments: Any) -> Any:
    """A bit for each lane; where one is NaN it is not set."""
    compare = builder.fcmp_ordered if kind.entry is types.float64 else builder.icmp_signed
    return compare(comparison, *arguments)


@intrinsic
def lowest_clear(_typing: Any, lanes: Any) -> Any:
    """``lowest_clear(a)``: the place of the lowest bit that is not set in a byte, 8 if all are."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        bit, kind = ir.IntType(1), arguments[0].type
        of = ir.FunctionType(kind, [kind, bit])
        function = cgutils.get_or_insert_function(builder.module, of, f"llvm.cttz.v{lanes.count}i8")
        return builder.call(function, [builder.not_(arguments[0]), ir.Constant(bit, 0)])

    return lanes(lanes), code


@intrinsic
def root(_typing: Any, lanes: Any) -> Any:
    """``root(a)``: the square roots."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(arguments[0].type, [arguments[0].type])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{lanes.count}f64")
        return builder.call(function, arguments)

    return lanes(lanes), code


def _operates(operation: Callable[[Any, Any], Any], instructions: dict[Any, str]) -> None:
    @type_callable(operation)
    def typed(_context: Any) -> Any:
        def result(one: Any, other: Any) -> Any:
            return one if isinstance(one, _Lanes) and one == other and one.entry in instructions else None

        return result

    @lower_builtin(operation, _Lanes, _Lanes)
    def code(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, instructions[signature.return_type.entry])(*arguments)


for _operation, _instructions in (
    (operator.add, ("fadd", "add")),
    (operator.sub, ("fsub", "sub")),
    (operator.mul, ("fmul", "mul")),
):
    _operates(_operation, dict(zip(_ENTRIES, _instructions, strict=True)))
_operates(operator.truediv, {types.float64: "fdiv"})
_operates(operator.or_, {types.int8: "or_"})
