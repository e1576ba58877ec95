"""The sockets on which events arrive, from publishers or from the broker.

Shell.
"""
