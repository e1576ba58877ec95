"""Shared parts of tests of several packages: fakes, waits, ports, sweeps, browsers."""
