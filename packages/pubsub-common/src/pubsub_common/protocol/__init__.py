"""The wire format: topics, events, batches, control messages, sequence numbers.

Core.
"""
