"""The data socket: events and batches out, subscriptions in.

Shell, except `batching`.
"""
