"""What PostgreSQL says in other languages means the same; its own translations say how it is put."""

from __future__ import annotations

import gettext
from pathlib import Path

import pytest

from canary_tui.databases.postgresql.refusals import Refusal, cause_of
from canary_tui.diagnosis.stages import Cause, Stage
from tests.harness.needs import give_up

C = Cause
AT_LOGIN, AT_QUERY = ("28000", "auth_failed"), ("57014", "ProcessInterrupts")
MEANT = {
    'Ident authentication failed for user "%s"': (AT_LOGIN, C.AUTH_METHOD_UNSUPPORTED),
    'Peer authentication failed for user "%s"': (AT_LOGIN, C.AUTH_METHOD_UNSUPPORTED),
    'GSSAPI authentication failed for user "%s"': (AT_LOGIN, C.AUTH_METHOD_UNSUPPORTED),
    'SSPI authentication failed for user "%s"': (AT_LOGIN, C.AUTH_METHOD_UNSUPPORTED),
    'PAM authentication failed for user "%s"': (AT_LOGIN, C.PASSWORD_REJECTED),
    'BSD authentication failed for user "%s"': (AT_LOGIN, C.PASSWORD_REJECTED),
    'LDAP authentication failed for user "%s"': (AT_LOGIN, C.PASSWORD_REJECTED),
    'RADIUS authentication failed for user "%s"': (AT_LOGIN, C.PASSWORD_REJECTED),
    'certificate authentication failed for user "%s"': (AT_LOGIN, C.CLIENT_CERTIFICATE_REQUIRED),
    "canceling statement due to user request": (AT_QUERY, C.QUERY_FAILED),
    "canceling statement due to statement timeout": (AT_QUERY, C.QUERY_TIMED_OUT),
}
NO_ENTRY = 'no pg_hba.conf entry for host "%s", user "%s", database "%s", %s'
REJECTS = 'pg_hba.conf rejects connection for host "%s", user "%s", database "%s", %s'
SAYS_LESS = {("zh_CN", 'certificate authentication failed for user "%s"')}
"""A translation that leaves the method out."""
SAID = [
    ("Peer-Authentifizierung für Benutzer »Ident« fehlgeschlagen", AT_LOGIN, C.AUTH_METHOD_UNSUPPORTED),
    ("authentification peer échouée pour l'utilisateur « LDAP »", AT_LOGIN, C.AUTH_METHOD_UNSUPPORTED),
    ('사용자 "PAM"의 peer 인증을 실패했습니다.', AT_LOGIN, C.AUTH_METHOD_UNSUPPORTED),
    ('对用户"LDAP"的对等认证失败', AT_LOGIN, C.AUTH_METHOD_UNSUPPORTED),
    ("la autentificación LDAP falló para el usuario «Peer»", AT_LOGIN, C.PASSWORD_REJECTED),
    ('certifikat-autentisering misslyckades för användare "PAM"', AT_LOGIN, C.CLIENT_CERTIFICATE_REQUIRED),
    ('користувач "a" не пройшов автентифікацію за сертифікатом', AT_LOGIN, C.CLIENT_CERTIFICATE_REQUIRED),
    ("storniere Anfrage wegen Benutzeraufforderung", AT_QUERY, C.QUERY_FAILED),
    ("storniere Anfrage wegen Zeitüberschreitung der Anfrage", AT_QUERY, C.QUERY_TIMED_OUT),
    ("ユーザーからの要求により文をキャンセルしています", AT_QUERY, C.QUERY_FAILED),
    ("выполнение оператора отменено из-за тайм-аута", AT_QUERY, C.QUERY_TIMED_OUT),
]


def meaning(text: str, numbers: tuple[str, str]) -> Cause:
    stage = Stage.QUERY if numbers is AT_QUERY else Stage.LOGIN
    return cause_of(Refusal(*numbers, text), stage, tls_possible=False)


@pytest.fixture(scope="module")
def catalogues() -> dict[str, gettext.GNUTranslations]:
    """The server's own translations, by language."""
    found = sorted(Path("/usr/share/locale").glob("*/LC_MESSAGES/postgres-*.mo"))
    if not found:
        give_up("needs PostgreSQL's translations")
    loaded = {}
    for path in found:
        with path.open("rb") as file:
            loaded[path.parts[-3]] = gettext.GNUTranslations(file)
    return loaded


@pytest.mark.parametrize(("text", "numbers", "cause"), SAID)
def test_a_translated_refusal_means_what_it_means_in_english(
    text: str, numbers: tuple[str, str], cause: Cause
) -> None:
    assert meaning(text, numbers) is cause


@pytest.mark.parametrize("text", MEANT)
def test_each_language_that_the_server_speaks_is_understood(
    catalogues: dict[str, gettext.GNUTranslations], text: str
) -> None:
    numbers, cause = MEANT[text]
    assert meaning(text.replace("%s", "reader"), numbers) is cause
    for language, catalogue in catalogues.items():
        said = catalogue.gettext(text).replace("%s", "reader")
        expected = C.LOGIN_REFUSED if (language, text) in SAYS_LESS else cause
        assert meaning(said, numbers) is expected, (language, said)


@pytest.mark.parametrize("text", [NO_ENTRY, REJECTS])
def test_each_language_names_the_file_that_lets_nobody_in(
    catalogues: dict[str, gettext.GNUTranslations], text: str
) -> None:
    for language, catalogue in catalogues.items():
        said = Refusal("28000", "ClientAuthentication", catalogue.gettext(text).replace("%s", "x"))
        causes = [cause_of(said, Stage.LOGIN, tls_possible=possible) for possible in (True, False)]
        assert causes == [C.TLS_REQUIRED, C.DATABASE_HOST_NOT_ALLOWED], (language, said)
