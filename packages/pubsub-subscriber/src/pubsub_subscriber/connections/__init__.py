"""The sockets that events arrive on, from publishers or from the broker.

Shell.
"""
