"""Speaking to databases, one file an engine. Knows nothing of tunnels."""
