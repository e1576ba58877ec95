"""The job of a benchmark process, and its result.

Shell, except `job` and `scenario`.
"""
