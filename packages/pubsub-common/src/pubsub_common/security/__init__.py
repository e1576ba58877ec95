"""Encrypted and authenticated connections (ZeroMQ's CURVE), and permissions at data
ports.

Programs without keys load nothing of this, except `handshake_failure`, which explains
why a secure broker rejects them.

Shell, except `z85`.
"""
