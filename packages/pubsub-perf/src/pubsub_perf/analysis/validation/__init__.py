"""Synthetic data with known patterns, which the analysis is checked against.

Shell.
"""
