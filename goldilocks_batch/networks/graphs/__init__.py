"""Crystal graphs and line graphs as arrays: neighbours, bonds, their classes, batches."""
