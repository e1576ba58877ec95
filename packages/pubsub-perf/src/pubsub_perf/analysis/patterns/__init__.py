"""Decides which expected patterns the data supports. Core."""
