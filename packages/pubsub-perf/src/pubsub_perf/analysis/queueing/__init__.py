"""Predicts latency from a queueing model of the broker.

Core, except `broker_load` and `prediction`.
"""
