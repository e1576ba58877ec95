"""How many clients and requests the broker accepts.

Core, except `capacity`.
"""
