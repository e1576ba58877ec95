"""Clocks, latency histograms, and the files that hold measured latencies. Shell;
`latency_histogram` is core.
"""
