"""Reads a sweep folder: cells, latencies, event details.

Shell, except `summary_statistics`.
"""
