"""Decides on requests of clients: who may register, and what other clients are told.
Core.
"""
