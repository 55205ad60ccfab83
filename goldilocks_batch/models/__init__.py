"""From checked files to a predictor: forests, networks, constants, and the bounds they give."""
