"""Synthetic data with known patterns, to check the analysis against. Core."""
