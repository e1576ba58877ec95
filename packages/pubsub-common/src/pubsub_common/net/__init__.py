"""Addresses of this machine, ZeroMQ sockets, waits, TCP tables, a small HTTP server.

Shell, except `tcp_table` and `ticket`.
"""
