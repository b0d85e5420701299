"""What a failure is told with at a TCP service that is not inspected."""

from __future__ import annotations

from canary_tui.diagnosis.engines.words import EngineWords, Own
from canary_tui.diagnosis.lines import direct, say
from canary_tui.diagnosis.stages import Cause

LISTENS = "the address and port that the service listens on"
START = (
    "Start the service on {db_host}, and have it listen where {origin} reaches it: there, `sudo ss -ltnp "
    "'sport = :{db_port!code}'` shows its addresses."
)

WORDS = EngineWords(
    label="any other service",
    usual_ports="",
    example={"engine": "tcp", "engine_title": "TCP service", "db_port": "6379"},
    log=(),
    certificate=(),
    own={
        Cause.CONNECTION_REFUSED: Own(
            remedies=say(direct(START)),
            look_at=say(direct(LISTENS + "; from here: nc -vz {db_host!sh} {db_port!sh}")),
        ),
        Cause.DATABASE_REFUSED: Own(
            remedies=say(START),
            look_at=say(LISTENS + "; from the SSH server: nc -vz {db_host!sh} {db_port!sh}"),
        ),
        Cause.WRONG_PROTOCOL: Own(
            summary=say("What answers on {db_at} sends without end before it is asked anything.")
        ),
        Cause.DATABASE_CLOSED_EARLY: Own(
            summary=say("The service {db_at} accepted the connection and closed it at once."),
            remedies=say(
                "See its log on {db_host}. Many services close connections from addresses that they do not "
                "let in, or when they have too many: {client} must be allowed."
            ),
            look_at=say("the service's log; the addresses that it lets in"),
        ),
    },
)
