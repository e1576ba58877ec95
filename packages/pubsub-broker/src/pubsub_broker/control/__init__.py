"""Decides on requests of clients: which may register, and what the others are told.

Core.
"""
