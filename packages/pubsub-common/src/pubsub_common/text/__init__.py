"""Text that people write or read: numbers, times, names, counts, templates, TOML.

Core.
"""
