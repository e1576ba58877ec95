"""What tests of several packages share: fakes, waits, ports, sweeps, browsers."""
