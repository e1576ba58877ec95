"""etcd as the engine of a group of brokers: its client, the mirror and the writer.

Core, except `client`, `connection`, `credentials`, `joining`, `link`, `members`, `threads` and
`watch_stream`.
"""
