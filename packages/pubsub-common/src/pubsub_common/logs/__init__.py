"""Log lines: their formats, and limits on how often a line repeats.

Shell, except `line_budget` and `throttle`.
"""
