"""From a configuration to the executor on the Dask cluster that it asks for."""

from __future__ import annotations

from goldilocks_batch.config.run import RunConfig
from goldilocks_batch.core.errors import ErrorCode, RunError
from goldilocks_batch.execution.dask.executor import DaskExecutor
from goldilocks_batch.execution.dask.local import LocalPool
from goldilocks_batch.execution.dask.pool import Pool
from goldilocks_batch.execution.dask.tasks import Ration
from goldilocks_batch.execution.forks import forked, watch_forks
from goldilocks_batch.execution.places import Sharing

__all__ = ["dask_executor"]

watch_forks()


def dask_executor(
    config: RunConfig,
    *,
    shards: int | None = None,
) -> DaskExecutor:
    """The executor, with its workers started or asked for.

    Args:
        config: says where the workers are.
        shards: how many there are to do; None if that is not known.

    Raises:
        ConfigError: SLURM or the cluster to join can't be as the configuration has it.
        RunError: CLUSTER_FAILED, the cluster cannot be reached or refuses the jobs; or this process is a
            fork that cannot use Dask.
    """
    if forked():
        raise RunError(
            ErrorCode.CLUSTER_FAILED,
            "this process is a fork of one that has used Dask, and a fork lacks its threads: start it with "
            "multiprocessing's method spawn, or use the executor local or serial",
        )
    pool = _pool(config, shards)
    sharing = Sharing.of(config, here=isinstance(pool, LocalPool))
    family = pool.family if isinstance(pool, LocalPool) else ""
    return DaskExecutor(pool, Ration(config.task_timeout, config.memory_bytes, sharing, family))


def _pool(config: RunConfig, shards: int | None) -> Pool:
    if config.cluster is not None:
        from goldilocks_batch.execution.dask.joined import JoinedPool

        return JoinedPool(config.cluster, config.plain_tcp)
    if config.executor == "slurm":
        from goldilocks_batch.execution.slurm.pool import SlurmPool

        return SlurmPool(config, shards)
    return LocalPool(config.workers, config.dashboard)
