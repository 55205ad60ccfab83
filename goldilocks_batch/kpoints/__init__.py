"""Meshes of k-points: from a distance to a mesh, and how many of its points symmetry leaves."""
