"""The control port: connections in, requests out. Shell."""
