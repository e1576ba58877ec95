"""Student's t, bootstrap, effect sizes, verdicts.

Core.
"""
