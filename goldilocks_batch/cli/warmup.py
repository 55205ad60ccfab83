"""``warmup``: compile all kernels beforehand."""

from __future__ import annotations

from goldilocks_batch.cli.exits import guarded

__all__ = ["warmup"]


@guarded
def warmup() -> None:
    """Compile all kernels now, for an installation of many users or an image: runs then begin at once.

    The machine code is kept in the project's cache: the folder `GOLDILOCKS_CACHE` names, or
    `goldilocks-batch` in the user's cache folder. It is good for this kind of processor and these versions.

    **Examples**

    `goldilocks-batch warmup`

    `GOLDILOCKS_CACHE=/opt/goldilocks goldilocks-batch warmup`   for all who set the same variable
    """
    import logging
    import time

    from goldilocks_batch.cli.tables import console, duration
    from goldilocks_batch.core.compiled import warm_up
    from goldilocks_batch.core.kernel_cache import kernel_folder

    began = time.monotonic()
    log = logging.getLogger(__name__)
    kernels, compiled = warm_up(lambda name: log.debug("%s", name))
    spent = duration(time.monotonic() - began)
    console().print(f"{kernels} kernels, {compiled} compiled in {spent}, in {kernel_folder()}")
