"""etcd as the engine of a group of brokers: its client, the mirror and the writer.

Core, except `client`, `connection`, `credentials`, `link`, `members` and
`watch_stream`.
"""
