"""What a benchmark process is asked to do, and what it measured.

Shell, except `job` and `scenario`.
"""
