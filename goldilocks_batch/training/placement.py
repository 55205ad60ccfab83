"""A model's folder appears whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from goldilocks_batch.core.errors import ErrorCode, ModelError, RunError
from goldilocks_batch.models.trained_forest import listed_files

__all__ = ["placed", "refuse_occupied"]


def refuse_occupied(output: Path, overwrite: bool) -> None:
    """Look at a model's folder-to-be before any work is done.

    Args:
        output: the folder; may be missing or empty.
        overwrite: whether a model there may be replaced, if the folder holds nothing else.

    Raises:
        RunError: OUTPUT_EXISTS, with what is in the way.
    """
    if output.is_dir():
        names = {path.name for path in output.iterdir()}
    elif output.exists():
        raise _occupied(f"{output} is a file; name a folder for the model")
    else:
        return
    if not names:
        return
    try:
        own = listed_files(output)
    except ModelError:
        own = set()
    foreign = sorted(names - own)
    if foreign:
        raise _occupied(f"{output} holds {', '.join(foreign[:3])}, no model's; choose another folder")
    if not overwrite:
        raise _occupied(f"{output} holds a model; choose another folder, or replace it with --overwrite")


@contextlib.contextmanager
def placed(output: Path) -> Iterator[Path]:
    """A temporary folder beside ``output`` that takes its place when the block ends without an error.

    A model that is there is moved aside first and removed last.

    Raises:
        RunError: WRITE_FAILED, the file system refuses.
    """
    final = output.absolute()
    unique = uuid.uuid4().hex[:8]
    temporary = final.with_name(f".{final.name}.{unique}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if final.exists():
            old = final.with_name(f".{final.name}.{unique}.old")
            final.rename(old)
            temporary.rename(final)
            shutil.rmtree(old)
        else:
            temporary.rename(final)
    except OSError as error:
        raise RunError(ErrorCode.WRITE_FAILED, f"cannot write the model to {output}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _occupied(message: str) -> RunError:
    return RunError(ErrorCode.OUTPUT_EXISTS, message)
