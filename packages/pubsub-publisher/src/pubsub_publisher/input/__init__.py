"""Payloads from files and standard input. Shell."""
