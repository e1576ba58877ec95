"""Reads a sweep folder: cells, latencies, event details; packs and exports it.

Shell, except `cell_fields`, `cell_summary`, `cells`, `pair_latencies`, `publisher_lateness`,
`scenarios`, `summary_statistics` and `table`.
"""
