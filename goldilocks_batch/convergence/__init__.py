"""Convergence studies with real codes: from a structure to the coarsest mesh that converges its energy."""
