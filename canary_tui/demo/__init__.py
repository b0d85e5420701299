"""An embedded SSH server and databases with a fleet of servers in every state."""
