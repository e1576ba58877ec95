"""Sweeps on several machines: the local machine drives, and a worker at the other end of an
``ssh`` runs the cells. Free machines get the next block, and return its cells through the same
connection.

Shell, except `assignments`, `command` and `messages`.
"""
