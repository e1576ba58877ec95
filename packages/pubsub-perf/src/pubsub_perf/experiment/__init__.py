"""Runs sweeps: cells, roles, CPU monitor, records.

Shell, except `fidelity` and `role_command_lines`.
"""
