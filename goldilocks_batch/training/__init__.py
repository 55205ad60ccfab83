"""From labels to a calibrated model: datasets, splits, forests, networks, evaluation."""
