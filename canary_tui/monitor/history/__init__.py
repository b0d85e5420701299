"""The past, in SQLite: written by the one process that monitors, read by any."""
