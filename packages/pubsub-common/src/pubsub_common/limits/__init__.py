"""Limits for peers at a port that is open to the network.

Core.
"""
