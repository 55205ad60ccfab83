"""Rows of a run to inputs of codes: each mesh with the cell that it is for, a row at a time."""
