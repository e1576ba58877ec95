"""Which cells an experiment has: topologies, parameters, cases, thresholds.

Core.
"""
