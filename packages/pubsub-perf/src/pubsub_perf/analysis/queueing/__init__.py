"""Predicts latency from a queueing model of the broker.

Core.
"""
