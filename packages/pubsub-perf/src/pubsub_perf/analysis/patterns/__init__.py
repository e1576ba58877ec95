"""Decides which of the expected patterns the data supports.

Core.
"""
