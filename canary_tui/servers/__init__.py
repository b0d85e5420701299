"""What a server is, the file that lists them, and where their passwords come from."""
