"""Shards on a Dask cluster: where workers come from, and what they run."""
