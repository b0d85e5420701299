"""The way to a database; the only place that opens SSH connections."""
