"""Each server's own SSH key, and the line that lets it in."""
