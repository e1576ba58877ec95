"""Decides on requests of clients: which may register, and what other clients learn.

Core.
"""
