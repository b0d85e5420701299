"""Any service behind a TCP port: whether it answers, and how programs are led to it."""
