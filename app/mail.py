"""Mail: the one way in which this server sends any, by the SMTP server of the settings; without one it sends none."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from app import config, redact
from app.errors import Invalid

if TYPE_CHECKING:
    import smtplib

SECONDS = 15
PORTS = {"smtp": 587, "smtps": 465}
# One recipient: by what else a header may hold one address would be two, or none that can be written.
_PLAIN = re.compile(r"""[^\s@<>()\[\],;:\\"]+@[^\s@<>()\[\],;:\\"]+""")


class Unsent(Exception):
    """A mail did not go out, and why, in words for an admin."""


@dataclass(frozen=True)
class Server:
    """Where mail is handed over: `is_tls` from the first byte, else by STARTTLS, which only this machine may lack."""

    host: str
    port: int
    is_tls: bool
    user: str
    password: str

    @classmethod
    def read(cls, url: str) -> Server:
        """Read `smtps://user:password@host:465` or `smtp://host:587`; raises Invalid that says what it wants."""
        told = "SIGNALCABIN_SMTP_URL is smtps://USER:PASSWORD@HOST:465 or smtp://HOST:587."
        parts = urlsplit(url)
        try:
            port = parts.port or PORTS[parts.scheme]
        except (ValueError, KeyError):
            raise Invalid(told, "SMTP_URL") from None
        if not parts.hostname or parts.path.strip("/") or parts.query or bool(parts.username) != bool(parts.password):
            raise Invalid(told, "SMTP_URL")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.hostname, port, parts.scheme == "smtps", user, password)

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine, where nobody else reads along."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def is_on() -> bool:
    """Whether mail can be sent."""
    return bool(config.current().smtp_url)


def send(to: str, subject: str, text: str) -> None:
    """Hand one mail over; may take a quarter of a minute. Raises Unsent."""
    import smtplib
    from email.message import EmailMessage
    from email.utils import formatdate, make_msgid

    if not _PLAIN.fullmatch(to):
        raise Unsent(f"{to} is no plain address")
    server = Server.read(config.current().smtp_url)
    redact.watch("SMTP_URL", server.password)
    message = EmailMessage()
    usual = f"Signalcabin <signalcabin@{urlsplit(config.current().url).hostname}>"
    message["From"] = config.current().mail_from or usual
    message["To"], message["Subject"] = to, subject
    message["Date"], message["Message-ID"] = formatdate(usegmt=True), make_msgid(domain="signalcabin.invalid")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    try:
        with _open(server) as smtp:
            smtp.send_message(message, to_addrs=[to])
    except smtplib.SMTPResponseException as problem:
        said = problem.smtp_error
        words = said.decode(errors="replace") if isinstance(said, bytes) else said
        raise Unsent(f"{server.host} said {problem.smtp_code} {words[:200]}") from problem
    except smtplib.SMTPRecipientsRefused as problem:
        raise Unsent(f"{server.host} does not take mail for {to}") from problem
    except (smtplib.SMTPException, OSError) as problem:
        raise Unsent(f"{server.host}:{server.port} could not be used: {type(problem).__name__}") from problem


def _open(server: Server) -> smtplib.SMTP:
    import smtplib

    safely = ssl.create_default_context()
    if server.is_tls:
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=SECONDS, context=safely)
    else:
        smtp = smtplib.SMTP(server.host, server.port, timeout=SECONDS)
    try:
        smtp.ehlo_or_helo_if_needed()
        if not server.is_tls and (not server.is_here or smtp.has_extn("starttls")):
            smtp.starttls(context=safely)
            smtp.ehlo_or_helo_if_needed()
        if server.user:
            smtp.login(server.user, server.password)
    except BaseException:
        smtp.close()
        raise
    return smtp
