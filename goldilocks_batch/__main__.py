"""``python -m goldilocks_batch``: the same as the command ``goldilocks-batch``."""

from __future__ import annotations

from goldilocks_batch.cli.app import main

if __name__ == "__main__":
    main()
