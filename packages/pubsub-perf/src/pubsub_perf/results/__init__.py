"""Reads a sweep folder: cells, latencies, event details.

Shell, except `cell_fields`, `cell_summary`, `cells`, `pair_latencies`, `publisher_lateness`
and `summary_statistics`.
"""
