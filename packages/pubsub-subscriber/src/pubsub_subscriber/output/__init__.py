"""Prints received events.

Shell, except `formats`.
"""
