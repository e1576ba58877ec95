"""The values that the analysis produces and the report shows.

Core.
"""
