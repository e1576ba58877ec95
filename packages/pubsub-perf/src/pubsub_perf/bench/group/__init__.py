"""Benchmarks of groups of brokers on loopback: the costs of forwarding at each broker, and of the
registry.

Shell, except `figures`.
"""
