"""What both classes of publishers do with topics and events, off the fast path.

Shell.
"""
