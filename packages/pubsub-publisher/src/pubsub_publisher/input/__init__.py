"""Payloads from files and standard input.

Shell, except `record_splitter`.
"""
