from __future__ import annotations

from typing import get_args

from goldilocks_batch.artifacts.record import FEATURE_SCHEMAS
from goldilocks_batch.config.choices import FeatureSchema, NetworkSchema
from goldilocks_batch.training.boosted import SCHEMA


def test_the_feature_schemas_to_choose_from_are_those_of_records() -> None:
    assert set(get_args(FeatureSchema)) == set(FEATURE_SCHEMAS) - {SCHEMA}
    assert set(get_args(NetworkSchema)) == {
        name for name, blocks in FEATURE_SCHEMAS.items() if not {"soap", "physics"} & set(blocks)
    }
