"""Predicts the capacity of a group of brokers: the work of its busiest broker by the number of
brokers.

Core.
"""
