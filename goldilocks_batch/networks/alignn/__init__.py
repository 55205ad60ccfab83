"""ALIGNN: its architecture, and forward passes on the CPU and on a GPU."""
