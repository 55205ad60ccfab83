"""Who does the shards of a run, and where: this process, child processes, a Dask cluster, SLURM."""
