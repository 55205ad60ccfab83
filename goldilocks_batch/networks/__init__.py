"""Graph neural networks: crystal graphs, checkpoints, and the compiled and stacked forward passes."""
