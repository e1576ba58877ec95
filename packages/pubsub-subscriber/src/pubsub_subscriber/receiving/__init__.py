"""Turns frames into events.

Shell.
"""
