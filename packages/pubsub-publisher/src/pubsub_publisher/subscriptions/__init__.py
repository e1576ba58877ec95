"""What subscribers ask of a publisher: readiness, missed events, positions.

Shell.
"""
