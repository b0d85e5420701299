"""Keeps tunnels open and probes running. Every front end stands on it; it knows no screen."""
