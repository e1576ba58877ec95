"""Runs an experiment on a cluster, as a job array of Slurm.

Each task takes a node for itself, runs some blocks there, and has its results ready as one file.
Nothing but Slurm is between the nodes and the machine that submits: the experiment is in the batch
script, which Slurm carries to the nodes; results come back into a folder that both see, or, where
there is none, through the standard output of a step of the task.

Shell, except `queue` and `script`.
"""
