"""MySQL and MariaDB: the session of a probe, and the login and the refusal of a user's own client."""
