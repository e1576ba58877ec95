"""Records the latency of received events.

Core.
"""
