"""Bootstrap, effect sizes, verdicts.

Core.
"""
