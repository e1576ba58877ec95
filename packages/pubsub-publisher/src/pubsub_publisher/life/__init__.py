"""Steps of a publisher's life: find the broker, bind the port, wait, serve, close.

Shell.
"""
