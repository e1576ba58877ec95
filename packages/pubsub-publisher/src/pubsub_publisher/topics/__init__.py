"""A publisher's topics: names, sequence numbers, history.

Core.
"""
