"""Pickles read without running anything in them: few operations, few names, and inert stand-ins for those."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, cast

__all__ = ["ArrayUnpickler", "RefusedError", "Unpickler"]


class RefusedError(Exception):
    """A pickle asks for what it has no need of; nothing of it has been run."""


class Unpickler(pickle.Unpickler):
    """Resolves a few names to stand-ins and refuses all others.

    Args:
        program: the pickle.
        names: what each name stands for, by module and name.
        operations: the only ones that it may use, by their names in :mod:`pickletools`.
        needed_by: for the reason of a refusal, who is content with these.

    Raises:
        RefusedError: it uses another operation; or, from ``load``, it names something else.
        ValueError: it is no pickle.
    """

    def __init__(
        self,
        program: bytes,
        names: Mapping[tuple[str, str], Any],
        operations: frozenset[str],
        needed_by: str,
    ) -> None:
        reason = _objection(program, operations, needed_by)
        if reason is not None:
            raise RefusedError(reason)
        super().__init__(io.BytesIO(program))
        self._names = names
        self._needed_by = needed_by

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name."""
        return _stand_in(self._names, module, name, self._needed_by)


#: The standard library's unpickler in Python, whose attributes its type stubs leave out.
_PythonUnpickler: Any = pickle._Unpickler


class ArrayUnpickler(_PythonUnpickler):
    """The same for a joblib file, whose arrays' bytes lie between the operations of the pickle.

    Such a file cannot be looked through before: each operation is judged when it comes.  It is read by the
    standard library's unpickler in Python, as joblib does; forests have some thousands of operations.

    Args:
        program: the file, not compressed.
        names, operations, needed_by: as of :class:`Unpickler`.
        announces: the stand-in after whose state an array's bytes follow.  It is given the bytes from there
            on, by its method ``read_array``, and tells how many were its own.

    Raises:
        RefusedError: from ``load``, it uses another operation or names something else.
    """

    def __init__(
        self,
        program: bytes,
        names: Mapping[tuple[str, str], Any],
        operations: frozenset[str],
        needed_by: str,
        announces: type,
    ) -> None:
        self._stream = io.BytesIO(program)
        super().__init__(self._stream)
        self._program = memoryview(program)
        self._names = names
        self._needed_by = needed_by
        self._announces = announces
        known = _PythonUnpickler.dispatch
        self.dispatch = {
            ord(operation.code): known[ord(operation.code)]
            if operation.name in operations
            else self._refusal(operation.name)
            for operation in pickletools.opcodes
        } | {pickle.BUILD[0]: ArrayUnpickler._build}
        if "BYTEARRAY8" in operations:
            self.dispatch[pickle.BYTEARRAY8[0]] = ArrayUnpickler._bytearray

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name."""
        return _stand_in(self._names, module, name, self._needed_by)

    def _refusal(self, operation: str) -> Callable[[Any], None]:
        def refuse(_unpickler: Any) -> None:
            reason = f"uses the pickle operation {operation} before byte {self._stream.tell()}"
            raise RefusedError(f"{reason}, which {self._needed_by} needs")

        return refuse

    def _bytearray(self) -> None:
        """As the library does, which would make room for any size that is claimed before it reads."""
        size = int.from_bytes(self.read(8), "little")
        if size > len(self._program):
            raise pickle.UnpicklingError(f"{size} bytes are claimed in a file of {len(self._program)}")
        self.append(bytearray(self.read(size)))

    def _build(self) -> None:
        """State for an object; if that is an array's, its bytes come next."""
        state = self.stack.pop()
        built = self.stack[-1]
        set_state = getattr(built, "__setstate__", None)
        if set_state is None:
            raise pickle.UnpicklingError(f"state for a {type(built).__name__}, which takes none")
        set_state(state)
        if isinstance(built, self._announces):
            begin = self._stream.tell()
            taken: int = cast("Any", built).read_array(self._program[begin:])
            self._stream.seek(begin + taken)


def _stand_in(names: Mapping[tuple[str, str], Any], module: str, name: str, needed_by: str) -> Any:
    if (module, name) not in names:
        raise RefusedError(f"names {module}.{name}, which {needed_by} needs")
    return names[module, name]


def _objection(program: bytes, operations: frozenset[str], needed_by: str) -> str | None:
    """Why a pickle should not be run; None if there is no reason."""
    for done, (operation, argument, position) in enumerate(pickletools.genops(program)):
        if operation.name not in operations:
            return f"uses the pickle operation {operation.name} at byte {position}, which {needed_by} needs"
        # the unpickler makes room for all objects up to the number one is kept under, however few there are
        if operation.name in ("BINPUT", "LONG_BINPUT") and isinstance(argument, int) and argument > done:
            return f"keeps an object as number {argument} at byte {position}, where there are at most {done}"
    return None
