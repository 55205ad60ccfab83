"""``inspect``: everything about one structure, for people."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from rich.table import Table

from goldilocks_batch.batch import Batch
from goldilocks_batch.cli.display import console
from goldilocks_batch.config import RunConfig
from goldilocks_batch.features.featurizer import Features
from goldilocks_batch.features.table import block_slices
from goldilocks_batch.schema import FLAGS
from goldilocks_batch.shard import Screening
from goldilocks_batch.sources import open_sources

__all__ = ["print_inspection"]
