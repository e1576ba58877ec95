"""How latency grows with the number of hosts: series, shapes and rates.

Core.
"""
