"""Sweeps on several machines: the machine that one types at drives, a worker at the other end of
an ``ssh`` runs the cells. Blocks are given to machines that are free, and cells come back through
the same connection.

Shell, except `assignments`, `command` and `messages`.
"""
