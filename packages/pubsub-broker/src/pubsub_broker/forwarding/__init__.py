"""Forwards events in the centralized model: sockets and forwarding loops.

Shell, except `draining` and `sender_check`.
"""
