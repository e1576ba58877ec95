"""Bootstrap, effect sizes, least squares, verdicts.

Core.
"""
