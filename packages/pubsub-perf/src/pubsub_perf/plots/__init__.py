"""Figures of one-way latency; the only importer of matplotlib.

`registry` lists the figures; each has a module of its own.

Shell, except `host_latencies` and `network_layout`.
"""
