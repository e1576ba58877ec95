"""Which subscribers a publisher accepts. Shell; `grants` is core."""
