"""What a peer may send to a port that serves strangers.

Core.
"""
