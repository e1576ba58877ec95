"""Forwards events in the centralized model: sockets and forwarding loops. Shell;
`sender_check` and `draining` are core.
"""
