"""Inputs of any kind as one sequence of references to structures, read in pieces by the workers."""
