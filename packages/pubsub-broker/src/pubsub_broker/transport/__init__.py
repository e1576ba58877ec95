"""The control port: connections and requests of clients.

Shell.
"""
