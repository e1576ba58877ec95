"""Clocks, latency histograms, and the files that hold measured latencies.

Shell, except `latency_histogram`.
"""
