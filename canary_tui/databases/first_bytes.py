"""The first bytes by which one engine's session tells that it has reached another engine's server."""

from __future__ import annotations

import struct

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""PostgreSQL 15 documentation §55.7, SSLRequest: its server answers with ``S`` or ``N``."""
MYSQL_GREETS = b"\x00\x00\x00\x0a"
"""What follows the first byte of a MySQL greeting; to PostgreSQL, a message of six bytes."""
