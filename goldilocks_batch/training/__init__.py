"""Datasets, splits, forests, calibration and evaluation: from labels to a model that can be screened with."""
