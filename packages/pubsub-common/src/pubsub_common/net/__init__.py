"""Addresses of this machine, ZeroMQ sockets, TCP tables, a small HTTP server.

Shell, except `tcp_table`.
"""
