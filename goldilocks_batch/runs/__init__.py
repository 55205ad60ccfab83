"""Runs from beginning to end: planned, sized, driven, retried, described."""
