"""Runs an experiment on a cluster, as a job array of Slurm.

Each task has a node for itself, runs some blocks there, and packs its results into one file.
Slurm is the only connection between the nodes and the submitting machine: the experiment is in the
batch script, which Slurm copies to the nodes; results come back in a shared folder, or without one
through the standard output of a step of the task.

Shell, except `queue` and `script`.
"""
