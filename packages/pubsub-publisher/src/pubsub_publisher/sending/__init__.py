"""The data socket: sends events and batches, receives subscriptions.

Shell, except `batching` and `quick_sources`.
"""
