"""Graphs of crystals: neighbours, line graph, kinds of bonds, batches, and what networks on them share."""
