"""How latency grows with the number of hosts: series and shapes.

Core.
"""
