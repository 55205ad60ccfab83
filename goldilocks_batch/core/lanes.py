"""Lanes: several numbers side by side that kernels calculate with as if they were one.

LLVM compiles arithmetic of such vectors to the instructions that the processor has for them, AVX-512, AVX2 or
others, where a loop over a constant number of entries of an array stays a loop over single numbers.

Within kernels, lanes of one width are added, subtracted, multiplied and divided by ``+``, ``-``, ``*`` and
``/``.  Arrays that they are read from and written to are flat and contiguous.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

__all__ = ["fill4", "fill8", "load4", "load8", "root", "store", "where_greater"]

_DOUBLE, _INDEX = ir.DoubleType(), ir.IntType(32)
#: Bytes: all that numpy promises of an entry's place.
_ALIGNED = 8


class _Lanes(types.Type):
    """Type of so many float64 side by side."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"lanes{count}")


@register_model(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _vector(kind))


def _vector(kind: Any) -> Any:
    return ir.VectorType(_DOUBLE, kind.count)


def _place(context: Any, builder: Any, signature: Any, arguments: Any, kind: Any) -> Any:
    """Pointer to the lanes of a number, the second argument, in an array, the first."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    offset = builder.mul(arguments[1], ir.Constant(arguments[1].type, kind.count))
    return builder.bitcast(builder.gep(array.data, [offset]), _vector(kind).as_pointer())


def _loads(kind: Any) -> Any:
    @intrinsic
    def load(_typing: Any, array: Any, _index: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.load(_place(context, builder, signature, arguments, kind), align=_ALIGNED)

        return kind(array, types.intp), code

    return load


def _fills(kind: Any) -> Any:
    @intrinsic
    def fill(_typing: Any, _value: Any) -> Any:
        def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            lanes = ir.Constant(_vector(kind), ir.Undefined)
            for lane in range(kind.count):
                lanes = builder.insert_element(lanes, arguments[0], ir.Constant(_INDEX, lane))
            return lanes

        return kind(types.float64), code

    return fill


_FOUR, _EIGHT = _Lanes(4), _Lanes(8)
#: ``load4(array, i)``: entries 4 i to 4 i + 3.
load4 = _loads(_FOUR)
#: ``load8(array, i)``: entries 8 i to 8 i + 7.
load8 = _loads(_EIGHT)
#: ``fill4(value)``: the value in every lane.
fill4 = _fills(_FOUR)
#: ``fill8(value)``: the value in every lane.
fill8 = _fills(_EIGHT)


@intrinsic
def store(_typing: Any, array: Any, _index: Any, lanes: Any) -> Any:
    """``store(array, i, lanes)``: write to the entries that a load of that width reads."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments, lanes)
        builder.store(arguments[2], place, align=_ALIGNED)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), code


@intrinsic
def where_greater(_typing: Any, one: Any, other: Any, greater: Any, else_: Any) -> Any:
    """``where_greater(a, b, x, y)``: x in lanes in which a > b, y in the others and where one is NaN."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *arguments[:2]), *arguments[2:])

    return one(one, other, greater, else_), code


@intrinsic
def root(_typing: Any, lanes: Any) -> Any:
    """``root(a)``: the square roots."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(arguments[0].type, [arguments[0].type])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{lanes.count}f64")
        return builder.call(function, arguments)

    return lanes(lanes), code


def _operates(operation: Callable[[Any, Any], Any], instruction: str) -> None:
    @type_callable(operation)
    def typed(_context: Any) -> Any:
        def result(one: Any, other: Any) -> Any:
            return one if isinstance(one, _Lanes) and one == other else None

        return result

    @lower_builtin(operation, _Lanes, _Lanes)
    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments)


for _operation, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _operates(_operation, _instruction)
