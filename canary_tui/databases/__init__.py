"""Speaking to databases, a package an engine. Knows nothing of tunnels."""
