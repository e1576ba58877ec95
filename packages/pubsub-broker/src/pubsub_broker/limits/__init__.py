"""How many clients and requests the broker accepts. Core; `capacity` and `descriptors`
are shell.
"""
