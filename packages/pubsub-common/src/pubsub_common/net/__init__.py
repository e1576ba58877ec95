"""Network helpers: addresses, ZeroMQ sockets, TCP tables, a small HTTP server. Shell;
`tcp_table` is core.
"""
