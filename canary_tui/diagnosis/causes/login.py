"""What can go wrong with the login at the database."""

from __future__ import annotations

from canary_tui.diagnosis.causes import retries
from canary_tui.diagnosis.causes.row import Row
from canary_tui.diagnosis.lines import Slot, say
from canary_tui.diagnosis.stages import Cause, Stage

ROWS = (
    Row(
        cause=Cause.PASSWORD_NOT_SENT,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_FOR_PERSON,
        unsafe=True,
        title="password not sent",
        summary=say(
            "The database {db_at} asked for the password of {db_user} in a form that it can read. It was not "
            "sent, because TLS has not verified who asks."
        ),
        remedies=say(
            "Set `database.tls: verify-full`, and `database.ca_file` to the PEM file of the authority that "
            "signed the server's certificate: then only the real server reads the password.",
            Slot.OWN,
            "Or, where everybody on the way to {db_host} may know the password, set "
            "`database.allow_cleartext: true`: it is sent to whoever asks.",
        ),
    ),
    Row(
        cause=Cause.PASSWORD_REJECTED,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        password_helps=True,
        title="password rejected",
        summary=say(
            "The database {db_at} rejects the user {db_user} with this password. A user that does not exist "
            "looks the same."
        ),
        remedies=say(
            "Give the right password: `canary password {server!sh}`, or correct what `password:` in "
            "servers.yaml names.",
            Slot.OWN,
        ),
    ),
    Row(
        cause=Cause.USER_NOT_ALLOWED,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        title="user not allowed",
        summary=say("The database {db_at} knows {db_user} but does not let that user log in."),
        remedies=say(
            Slot.OWN,
            "Or set `database.user` to a user that may log in.",
        ),
    ),
    Row(
        cause=Cause.PASSWORD_EXPIRED,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        title="password expired",
        summary=say("The password of {db_user} on {db_at} has expired."),
        remedies=say(
            Slot.OWN,
            "If the password is a new one, tell canary: `canary password {server!sh}`, or correct what "
            "`password:` names.",
        ),
    ),
    Row(
        cause=Cause.AUTH_METHOD_UNSUPPORTED,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        title="login method unsupported",
        summary=say(
            "The database {db_at} wants {db_user} to log in by a method that canary-tui does not have."
        ),
        remedies=say(
            Slot.OWN,
            "Or make a user for canary-tui with such a password, and set `database.user` to it.",
        ),
    ),
    Row(
        cause=Cause.DATABASE_NOT_FOUND,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        title="no such database",
        summary=say("There is no database {db_name} on {db_at}."),
        remedies=say(
            Slot.OWN,
            "Check `database.host` and `database.port`: {db_at} may be another server than the one that is "
            "meant.",
        ),
    ),
    Row(
        cause=Cause.DATABASE_ACCESS_DENIED,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        title="database access denied",
        summary=say("The user {db_user} may not use the database {db_name} on {db_at}."),
        remedies=say(
            Slot.OWN,
            "Check the spelling of `database.name` and `database.user`.",
        ),
    ),
    Row(
        cause=Cause.LOGIN_TIMED_OUT,
        stage=Stage.LOGIN,
        retry=retries.BREAKS_OFF,
        silence=(Stage.LOGIN,),
        title="database login timed out",
        summary=say("The database {db_at} did not finish the login of {db_user} within the time limit."),
        remedies=say(
            Slot.LOG,
            Slot.OWN,
            "If a login takes that long there, allow more time: `probe.timeout` in servers.yaml ({timeout} "
            "now).",
        ),
    ),
    Row(
        cause=Cause.LOGIN_REFUSED,
        stage=Stage.LOGIN,
        retry=retries.DATABASE_REFUSED,
        title="login refused",
        summary=say("The database {db_at} does not let {db_user} in; its own words say why."),
        remedies=say(
            "Check `database.user` and `database.name` with the database's administrator or provider: a "
            "hosted pooler may want the project's name in the user (`USER.PROJECT`).",
            Slot.LOG,
            Slot.OWN,
        ),
    ),
    Row(
        cause=Cause.DATABASE_UNAVAILABLE,
        stage=Stage.LOGIN,
        retry=retries.NETWORK,
        title="database unavailable",
        summary=say(
            "Something answers for the database on {db_at}, but the database itself cannot be used now."
        ),
        remedies=say(
            "If {db_at} is a pooler or a proxy, look at the database behind it: its address in the pooler's "
            "settings, whether it runs, whether it lets the pooler in.",
            Slot.OWN,
            "If its disk or memory is full, make room: `df -h`, `free -m` on {db_host}.",
        ),
    ),
)
