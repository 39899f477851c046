"""Runs as jobs of Slurm: what is asked of it, what it says of them, and what goes on in one."""
