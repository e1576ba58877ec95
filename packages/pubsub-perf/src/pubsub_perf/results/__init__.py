"""Reads a sweep folder: cells, latencies, details. Shell."""
