"""Encrypted and authenticated connections (ZeroMQ's CURVE), and who may do what.

Nothing here is loaded by programs that use no keys, except `handshake_failure`, which tells
those why a secure broker does not talk to them.

Shell, except `z85`.
"""
