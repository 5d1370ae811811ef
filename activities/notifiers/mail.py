"""Mail over SMTP: one message to all recipients, encrypted unless it is said otherwise, bounded in time."""

import asyncio
import ssl
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime

import aiosmtplib

from activities.notifiers.texts import Text
from holdfast.contracts.notifications import Notification
from holdfast.domain.notifiers import EmailNotifier
from holdfast.errors import ErrorCode, PermanentFailure, TransientFailure
from holdfast.ids import fingerprint

TIMEOUT = timedelta(seconds=15)


def compose(given: Notification, text: Text, config: EmailNotifier) -> EmailMessage:
    """Write the message. Its title is one line already, and the library refuses a header that is not."""
    message = EmailMessage()
    message["From"] = config.sender
    message["To"] = ", ".join(config.to)
    message["Subject"] = f"[Holdfast] {text.title}"
    message["Date"] = format_datetime(given.at)
    domain = config.sender.rpartition("@")[2]
    message["Message-ID"] = f"<{fingerprint('mail', given.id)}@{domain}>"
    thread = f"<{fingerprint('incident', given.incident)}@{domain}>"  # what belongs together stands together
    message["References"] = thread
    message["In-Reply-To"] = thread
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(text.lines).encode("utf-8", "replace").decode())
    return message


async def send(message: EmailMessage, config: EmailNotifier, login: tuple[str, str] | None, ca: str | None) -> str:
    """Hand the message to the server. Raises TransientFailure or PermanentFailure, `target.…`, without the password."""
    try:
        context = ssl.create_default_context(cadata=ca) if config.security != "none" else None
        async with asyncio.timeout(TIMEOUT.total_seconds()):
            refused, answer = await aiosmtplib.send(
                message,
                sender=config.sender,
                recipients=list(config.to),
                hostname=config.host,
                port=config.port,
                username=login[0] if login else None,
                password=login[1] if login else None,
                use_tls=config.security == "tls",
                start_tls=config.security == "starttls",
                tls_context=context,
                timeout=TIMEOUT.total_seconds(),
            )
    except (TimeoutError, aiosmtplib.SMTPTimeoutError):
        raise TransientFailure(ErrorCode.TARGET_TIMEOUT, f"SMTP {config.host}: no answer in time") from None
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _refusal(config, min(one.code for one in error.recipients), "no recipient was accepted") from None
    except aiosmtplib.SMTPResponseException as error:
        raise _refusal(config, error.code, type(error).__name__) from None
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        what = f"SMTP {config.host}:{config.port}: {type(error).__name__}"
        raise TransientFailure(ErrorCode.TARGET_UNREACHABLE, what) from None
    partly = f", but not for {', '.join(sorted(refused))}" if refused else ""
    return " ".join(f"accepted{partly}: {answer}".split())[:200]


def _refusal(config: EmailNotifier, code: int, what: str) -> TransientFailure | PermanentFailure:
    """Read a reply code: 4yz may pass, the rest is for good (RFC 5321, 4.2.1)."""
    said = f"SMTP {config.host}: {code} {what}"
    if 400 <= code <= 499 or code < 0:
        return TransientFailure(ErrorCode.TARGET_RETRY_LATER, said)
    return PermanentFailure(ErrorCode.TARGET_REFUSED, said)
