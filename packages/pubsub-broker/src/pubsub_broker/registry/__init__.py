"""The registered clients, and their snapshot on disk. Core; `snapshot_file` is shell."""
