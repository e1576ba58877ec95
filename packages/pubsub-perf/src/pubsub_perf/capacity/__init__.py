"""Predicts what a group of brokers can do: how the work of its busiest broker falls with the
number of brokers.

Core.
"""
