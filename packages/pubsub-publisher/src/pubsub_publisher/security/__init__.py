"""Which subscribers a publisher accepts.

Shell, except `grants`.
"""
