"""Reads a sweep folder: cells, latencies, event details; packs and exports it.

Shell, except `cell_fields`, `cell_summary`, `cells`, `column_names`, `latency_trend`,
`overload`, `pair_latencies`, `publisher_lateness`, `scenarios`, `summary_statistics`, `table`,
`table_form`, `table_source` and `text_encoding`.
"""
