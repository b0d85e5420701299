"""canary-tui: SSH tunnels to databases behind jumpboxes, probed the whole way."""
