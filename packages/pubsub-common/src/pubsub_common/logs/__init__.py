"""Log lines: their formats, and limits on how often a line repeats.

Shell, except `throttle`.
"""
