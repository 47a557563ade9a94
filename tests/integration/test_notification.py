"""Messages about backups, to a real mail server and a real webhook receiver."""

from __future__ import annotations

import email
import hmac
import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.policy import default as policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from backup_jobs import PASSWORD, served, until
from certificates import HOSTS, Authority
from pages import free_port

import neurolake

USER, WORD, KEY = "mailer", "smtp-pass-word-7", "signing-key-7"


class Receiver:
    """A webhook receiver: keeps what is posted, and answers as it is told.

    Attributes:
        answers: the next statuses; then 204. `0` answers nothing at all.
    """

    def __init__(self) -> None:
        self.posted: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.posted.append((dict(self.headers), body))
                status = receiver.answers.pop(0) if receiver.answers else 204
                if status == 0:
                    time.sleep(1)
                    return
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"{receiver.url}/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook?token=in-the-url-7"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.posted]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Mailbox:
    """What a mail server has taken, and who logged in."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.encrypted: list[bool] = []
        self.__dict__["handle_DATA"] = self.take  # the name that the server looks for

    async def take(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(email.message_from_bytes(envelope.content, policy=policy))  # type: ignore[arg-type]
        self.encrypted.append(session.ssl is not None)
        return "250 taken"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == WORD.encode(), handled=False)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and server.pem and server.key that it issued."""
    folder, made = tmp_path_factory.mktemp("tls"), Authority()
    (folder / "ca.pem").write_bytes(made.pem)
    made.issue("localhost", HOSTS).write(folder)
    return folder


Mail = Callable[..., tuple[Mailbox, dict[str, object]]]


@pytest.fixture
def mail(authority: Path) -> Iterator[Mail]:
    """Starts a mail server; the mailbox, and the settings that lead to it."""
    running: list[Controller] = []

    def start(security: str = "starttls") -> tuple[Mailbox, dict[str, object]]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority / "server.pem", authority / "server.key")
        mailbox, tls = Mailbox(), {"starttls": {"tls_context": context, "require_starttls": True}, "none": {}}
        controller = Controller(
            mailbox, hostname="127.0.0.1", port=free_port(), authenticator=mailbox.authenticate,
            ssl_context=context if security == "tls" else None, auth_require_tls=security == "starttls",
            **tls.get(security, {}),
        )  # fmt: skip
        controller.start()
        running.append(controller)
        return mailbox, {
            "notify_email_to": ["ops@example.com", "night@example.com"], "notify_email_from": "lake@example.com",
            "notify_smtp_host": "localhost", "notify_smtp_port": controller.port, "notify_smtp_security": security,
            "notify_tls_ca": str(authority / "ca.pem"),
        }  # fmt: skip

    yield start
    for controller in running:
        controller.stop()


def open_(folder: Path, **settings: object) -> neurolake.Lake:
    return neurolake.connect(folder / "lake", **settings)


def told(lake: neurolake.Lake) -> list[str | None]:
    """What the record says of each run's message, when none is under way."""

    def settled() -> list[str | None]:
        found = lake.sql("SELECT notified FROM neurolake.backup_runs ORDER BY started_at").arrow()
        values: list[str | None] = found["notified"].to_pylist()
        return [] if "pending" in values else values

    found: list[str | None] = until(settled)
    return found


class TestWebhook:
    def test_a_run_is_told_with_its_facts_and_a_signature(self, tmp_path: Path, receiver: Receiver) -> None:
        settings = {"notify_webhook_url": receiver.url, "notify_webhook_key": KEY, "notify_on": "always"}
        with open_(tmp_path, **settings) as lake:
            lake.load("people", {"name": ["Ada Lovelace"], "mail": ["ada@example.org"]})
            snapshot = lake.backups.create()
            assert told(lake) == ["webhook: sent"]
        ((headers, body),) = receiver.posted
        signed = hmac.new(KEY.encode(), headers["X-NeuroLake-Timestamp"].encode() + b"." + body, "sha256").hexdigest()
        assert headers["X-NeuroLake-Signature"] == f"sha256={signed}"
        assert abs(time.time() - int(headers["X-NeuroLake-Timestamp"])) < 60
        message = json.loads(body)
        assert (message["lake"], message["job"], message["state"]) == ("lake", "create", "done")
        (place,) = message["repositories"]
        assert (place["snapshot_id"], place["rows"], place["previous_state"]) == (snapshot, 1, None)
        for secret in ("Ada", "example.org", KEY, "in-the-url-7"):
            assert secret.encode() not in body

    @pytest.mark.parametrize(
        ("notify_on", "wanted"),
        [
            ("change", ["failed", "done"]),
            ("failure", ["failed", "failed"]),
            ("success", ["done", "done", "done"]),
            ("always", ["done", "done", "failed", "failed", "done"]),
        ],
    )
    def test_which_runs_are_told(self, notify_on: str, wanted: list[str], tmp_path: Path, receiver: Receiver) -> None:
        place = tmp_path / "place"
        with open_(tmp_path, notify_webhook_url=receiver.url, notify_on=notify_on) as lake:
            backups = lake.backups.at(place)
            backups.create()
            backups.create()
            place.rename(tmp_path / "away")
            place.write_text("no folder")
            for _ in range(2):
                with pytest.raises(neurolake.errors.SourceFailed):
                    backups.create()
            place.unlink()
            (tmp_path / "away").rename(place)
            backups.create()
            told(lake)
        assert [message["state"] for message in receiver.messages()] == wanted

    def test_what_may_pass_is_tried_again_and_what_will_not_is_not(self, tmp_path: Path, receiver: Receiver) -> None:
        receiver.answers = [503, 204, 404, 302]
        with open_(tmp_path, notify_webhook_url=receiver.url, notify_on="always", notify_attempts_max=2) as lake:
            for _ in range(3):
                lake.backups.create()
            assert told(lake) == ["webhook: sent", "webhook: failed (HTTP 404)", "webhook: failed (HTTP 302)"]
        assert len(receiver.posted) == 4

    def test_a_receiver_that_hangs_holds_nobody_up_for_long(self, tmp_path: Path, receiver: Receiver) -> None:
        receiver.answers = [0, 0]
        settings = {"notify_timeout_s": 0.2, "notify_attempts_max": 1, "notify_on": "always"}
        with open_(tmp_path, notify_webhook_url=receiver.url, **settings) as lake:
            lake.backups.create()
            assert told(lake) == ["webhook: failed (timed out)"]
        with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections, and says nothing
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
            begun = time.monotonic()
            lake = open_(tmp_path, notify_webhook_url=url, notify_timeout_s=1, notify_on="always")
            lake.backups.create()
            lake.close()
            assert time.monotonic() - begun < 20

    def test_a_message_that_cannot_be_sent_fails_no_backup(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        url = f"http://127.0.0.1:{free_port()}/hook?token=in-the-url-7"
        with open_(tmp_path, notify_webhook_url=url, notify_on="always", notify_attempts_max=1) as lake:
            lake.backups.create()
            assert told(lake) == ["webhook: failed (ClientConnectorError)"]
            assert "notification by webhook failed" in caplog.text
            assert "in-the-url-7" not in caplog.text
        with open_(tmp_path, notify_webhook_url="env:NOT_SET_ANYWHERE", notify_on="always") as lake:
            lake.backups.create()
            assert told(lake)[-1] == "webhook: failed (secret_missing)"

    def test_the_settings_show_no_secret(self, tmp_path: Path, receiver: Receiver) -> None:
        settings = {"notify_webhook_url": receiver.url, "notify_webhook_key": KEY, "notify_smtp_password": WORD}
        with open_(tmp_path, **settings) as lake:
            shown = lake.sql("SELECT name, value FROM neurolake.settings WHERE name LIKE 'notify%'").fetchall()
        assert {value for name, value in shown if name in settings} == {"***"}


class TestEmail:
    @pytest.mark.parametrize("security", ["starttls", "tls"])
    def test_a_report_as_text_and_html_over_tls_with_a_login(
        self, security: str, tmp_path: Path, mail: Mail, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MAIL_WORD", WORD)
        mailbox, settings = mail(security)
        login = {"notify_smtp_user": USER, "notify_smtp_password": "env:MAIL_WORD", "notify_on": "always"}
        with open_(tmp_path, notify_name="<b>sales</b>\nBcc: x@example.com", **settings, **login) as lake:
            lake.load("people", {"name": ["Ada Lovelace"]})
            snapshot = lake.backups.create()
            assert told(lake) == ["e-mail: sent"]
        (found,) = mailbox.mails
        assert mailbox.logins == [(USER.encode(), WORD.encode())]
        assert mailbox.encrypted == [True] or security == "tls"
        assert found["To"] == "ops@example.com, night@example.com"
        assert (found["From"], found["Bcc"]) == ("lake@example.com", None)
        assert found["Subject"] == "NeuroLake <b>sales</b> Bcc: x@example.com: backup create done"
        for kind in ("plain", "html"):
            part = found.get_body((kind,))
            assert part is not None
            assert snapshot in part.get_content()
            assert "Ada" not in part.get_content()
        assert "<b>" not in found.get_body(("html",)).get_content()  # type: ignore[union-attr]

    def test_a_server_without_tls_gets_neither_mail_nor_password(self, tmp_path: Path, mail: Mail) -> None:
        mailbox, settings = mail("none")
        login = {"notify_smtp_user": USER, "notify_smtp_password": WORD, "notify_attempts_max": 1}
        with open_(tmp_path, **{**settings, **login, "notify_smtp_security": "starttls"}) as lake:
            assert lake.call("test_notification").to_pylist() == [
                {"channel": "e-mail", "state": "failed", "reason": "SMTPNotSupportedError"}
            ]
        with open_(tmp_path, **{**settings, **login}) as lake:
            reasons = lake.call("test_notification")["reason"].to_pylist()
            assert reasons == ["notify_smtp_user needs TLS"]
        assert (mailbox.mails, mailbox.logins) == ([], [])

    def test_a_wrong_password_and_a_strangers_certificate_are_told_without_words(
        self, tmp_path: Path, mail: Mail
    ) -> None:
        mailbox, settings = mail("starttls")
        with open_(tmp_path, **settings, notify_smtp_user=USER, notify_smtp_password="wrong-word-7") as lake:
            reasons = lake.call("test_notification")["reason"].to_pylist()
            assert reasons == ["SMTPAuthenticationError, SMTP 535"]
        with open_(tmp_path, **{**settings, "notify_tls_ca": "", "notify_attempts_max": 1}) as lake:
            assert lake.call("test_notification")["reason"].to_pylist() == ["SSLCertVerificationError"]
        assert mailbox.mails == []


def test_a_served_lake_tells_both_ways_and_only_administrators_may_try(
    tmp_path: Path, receiver: Receiver, mail: Mail
) -> None:
    mailbox, settings = mail("starttls")
    recipients = {"notify_email_to": "ops@example.com", "notify_webhook_url": receiver.url}
    with served(tmp_path / "lake", **{**settings, **recipients}, snapshot_repositories="/dev/null/no") as server:
        assert server.rows("CALL neurolake.test_notification()") == [
            {"channel": "webhook", "state": "sent", "reason": None},
            {"channel": "e-mail", "state": "sent", "reason": None},
        ]
        server.rows("CALL neurolake.create_role('analyst')")
        server.rows(f"CALL neurolake.create_user('ann', password => '{PASSWORD}', roles => ['analyst'])")
        for sql, code in (
            ("CALL neurolake.test_notification()", "access_denied"),
            ("CALL neurolake.drill_snapshot()", "access_denied"),
            ("FROM neurolake.backup_runs", "relation_denied"),
            ("FROM neurolake.backup_schedule", "relation_denied"),
        ):
            with pytest.raises(Exception, match=code):
                server.rows(sql, user="ann")
        with pytest.raises(Exception, match="repository_failed"):
            server.rows("CALL neurolake.create_snapshot()")
        until(lambda: len(mailbox.mails) == 2)
        assert [message["state"] for message in receiver.messages()] == ["test", "failed"]
        assert server.rows("SELECT notified FROM neurolake.backup_runs") == [
            {"notified": "webhook: sent, e-mail: sent"}
        ]
        assert server.metrics()['neurolake_notifications_total{channel="webhook",outcome="sent"}'] == 2.0
