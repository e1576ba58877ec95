"""The subscribers of a publisher: ready ones, those on this host, and their questions.

Core.
"""
