"""SLURM: what a site offers, job scripts, pilot jobs, certificates."""
