"""The registered clients, and their snapshot on disk.

Core, except `snapshot_file`.
"""
