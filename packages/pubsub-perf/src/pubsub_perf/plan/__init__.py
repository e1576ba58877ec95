"""Which cells a sweep has: topologies, presets, cases.

Core.
"""
