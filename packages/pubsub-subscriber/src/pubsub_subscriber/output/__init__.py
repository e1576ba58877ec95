"""Prints received events. Shell."""
