"""The state of each stream: sequence numbers, gaps, recovery, ownership.

Core.
"""
