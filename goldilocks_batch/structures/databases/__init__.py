"""Structures of public databases that speak OPTIMADE: asked page by page, and made a manifest of."""
