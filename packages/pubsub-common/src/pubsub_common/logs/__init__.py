"""Log lines: formats, and limits on how often a line repeats. Shell; `audit` and
`throttle` are core.
"""
