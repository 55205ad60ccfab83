from __future__ import annotations

from typing import get_args

from goldilocks_batch.artifacts.record import FEATURE_SCHEMAS
from goldilocks_batch.config.choices import FeatureSchema, NetworkSchema


def test_the_feature_schemas_to_choose_from_are_those_of_records() -> None:
    assert set(get_args(FeatureSchema)) == {
        name for name, blocks in FEATURE_SCHEMAS.items() if "physics" not in blocks
    }
    assert set(get_args(NetworkSchema)) == {
        name for name, blocks in FEATURE_SCHEMAS.items() if not {"soap", "physics"} & set(blocks)
    }
