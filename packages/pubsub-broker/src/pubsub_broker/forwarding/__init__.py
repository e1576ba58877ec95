"""Forwards events in the centralized model: sockets and forwarding loops.

Shell, except `calm_traffic`, `draining` and `sender_check`.
"""
