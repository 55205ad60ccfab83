"""From a row of an input to a checked crystal, its primitive cell and its symmetry."""
