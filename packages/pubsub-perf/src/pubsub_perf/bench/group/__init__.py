"""Benchmarks of groups of brokers on loopback: what forwarding costs each broker, and what the
registry costs.

Shell, except `figures`.
"""
