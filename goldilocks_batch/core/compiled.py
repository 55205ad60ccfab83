"""Kernels: functions that numba compiles at their first call, and where the machine code is kept.

The code is kept in :func:`~goldilocks_batch.core.kernel_cache.kernel_folder`, or where ``NUMBA_CACHE_DIR``
says.  A kernel is compiled by one process at a time; others wait, and find the code.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import logging
import os
import pickle
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from goldilocks_batch.core.kernel_cache import has_code, kernel_folder

__all__ = ["announce", "compiled_here", "defined", "kernel", "one_at_a_time", "warm_up"]

_log = logging.getLogger(__name__)
#: For every kernel that Python calls the types it is called with; written by ``python -m tests.kernels``.
_SIGNATURES = Path(__file__).with_name("kernels.json")

_defining = threading.Lock()
_kernels: dict[str, Any] = {}
_compiled: list[str] = []
_held: Counter[Path] = Counter()


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function at its first call with arguments of some types, as ``numba.njit`` does.

    It runs outside of the interpreter's lock, so that another thread can talk to a GPU meanwhile.

    Args:
        options: of ``numba.njit``.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        from numba import config, njit

        with _defining:
            chosen = config.CACHE_DIR
            config.CACHE_DIR = chosen or str(kernel_folder())
            try:
                dispatcher = njit(**{"cache": True, "nogil": True, **options})(function)
            finally:
                config.CACHE_DIR = chosen  # other packages' kernels are none of our business
        name = f"{function.__module__}:{function.__qualname__}"
        _listen()
        _kernels[name] = dispatcher
        compile_one = dispatcher.compile

        def compile_alone(signature: Any) -> Any:
            with _alone(dispatcher):
                try:
                    return compile_one(signature)
                except OSError as error:  # it is compiled: only the file could not be written
                    _log.warning("machine code cannot be kept: %s", error)
                except (EOFError, pickle.UnpicklingError):  # the disk was full, or the machine went down
                    _forget(dispatcher)
                return compile_one(signature)

        dispatcher.compile = compile_alone
        return dispatcher

    return decorate


def _forget(dispatcher: Any) -> None:
    """Remove a kernel's files, which are damaged."""
    for path in Path(dispatcher.stats.cache_path).glob(f"*.{dispatcher.py_func.__qualname__}-*.nb?"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(dispatcher: Any) -> Iterator[None]:
    """Keep other processes from compiling or loading the same kernel; they find the code when it is there."""
    from numba.core.compiler_lock import global_compiler_lock

    path = Path(dispatcher.stats.cache_path) / f"{dispatcher.py_func.__qualname__}.lock"
    # numba's own lock comes first: a thread with a file's lock must not wait for one that waits for it
    with global_compiler_lock, _locked(path):
        yield


@contextlib.contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """Let one process of this user's at a time do something whose result the others then find.

    Args:
        what: its name, that of a file.
    """
    with _locked(kernel_folder() / f"{what}.lock"):
        yield


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, once more if this process has it already."""
    with contextlib.ExitStack() as stack:
        if not _held[path]:
            with contextlib.suppress(OSError):  # no place, no locks there: it is done more than once
                stream = stack.enter_context(path.open("a"))
                fcntl.flock(stream, fcntl.LOCK_EX)
        _held[path] += 1
        stack.callback(_held.subtract, [path])
        yield


@cache
def _listen() -> None:
    """Keep the names of the kernels that are compiled in this process, and log them."""
    from numba.core import event

    class Compiling(event.Listener):
        def on_start(self, event: Any) -> None:
            dispatcher = event.data["dispatcher"]
            name = f"{dispatcher.py_func.__module__}:{dispatcher.py_func.__qualname__}"
            if _kernels.get(name) is dispatcher:
                if not _compiled:
                    _log.info("compiling, once per installation")
                _log.debug("compiling %s", name)
                _compiled.append(name)

        def on_end(self, event: Any) -> None:
            """Nothing to do."""

    event.register("numba:compile", Compiling())


def defined() -> dict[str, Any]:
    """Numba's dispatchers of the kernels of all modules that have been imported, by ``module:name``."""
    return dict(_kernels)


def compiled_here() -> tuple[str, ...]:
    """The kernels that this process has compiled, and not found in the cache, in their order."""
    return tuple(_compiled)


def announce() -> bool:
    """Log that kernels are going to be compiled, if none has been for this installation.

    Returns:
        Whether that is so.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if has_code(Path(chosen) if chosen else kernel_folder()):
        return False
    _log.info("compiling, once per installation: the first results take a minute or two longer")
    return True


def warm_up(say: Callable[[str], None] = lambda _name: None) -> tuple[int, int]:
    """Compile all kernels for all types of arguments that the package calls them with.

    Args:
        say: told the name of each kernel before it is compiled or found.

    Returns:
        Number of kernels, those that other kernels call among them, and of those that had to be compiled.
    """
    from numba.core import types

    signatures: dict[str, list[list[Any]]] = json.loads(_SIGNATURES.read_text(encoding="utf-8"))
    before = len(_compiled)
    for name, calls in signatures.items():
        importlib.import_module(name.partition(":")[0])
        say(name)
        for call in calls:
            _kernels[name].compile(tuple(_type(argument, types) for argument in call))
    return len(_kernels), len(set(_compiled[before:]))


def _type(description: Any, types: Any) -> Any:
    """The numba type of an argument, by its description in the file."""
    if isinstance(description, str):
        return types.boolean if description == "bool" else getattr(types, description)
    if "tuple" in description:
        items = [_type(item, types) for item in description["tuple"]]
        return types.BaseTuple.from_types(items, _class(description.get("class")))
    return types.Array(
        _type(description["array"], types),
        description["dimensions"],
        description["layout"],
        readonly=description.get("readonly", False),
    )


def _class(name: str | None) -> type | None:
    """The named tuple ``module:name``."""
    if name is None:
        return None
    module, _, attribute = name.partition(":")
    found: type = getattr(importlib.import_module(module), attribute)
    return found
