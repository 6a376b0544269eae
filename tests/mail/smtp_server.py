"""An SMTP server for tests: takes mail into a folder, or refuses it as the recipient's name asks.

Prints "listening on PORT" and, with TLS, writes its certificate authority to FOLDER/ca.pem. Ends when its standard input does.
"""

import argparse
import asyncio
import logging
import os
import pathlib
import ssl
import sys
import threading

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

ANSWERS = {
    "nobody": "550 5.1.1 no such mailbox",
    "later": "451 4.3.0 try again later",
    "greylisted": "450 4.7.1 greylisted",
    "echoed": "550 5.1.1 <echoed@example.org>: no such mailbox",
}


class Handler:
    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = ANSWERS.get(address.split("@")[0])
        if answer:
            return answer
        if address.startswith("stalled@"):
            await asyncio.sleep(3600)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        recipients = ",".join(envelope.rcpt_tos).encode("unicode_escape").decode()
        facts = f"X-Test-To: {recipients}\r\nX-Test-Tls: {session.ssl is not None}\r\nX-Test-User: {session.auth_data or ''}\r\n"
        content = facts.encode() + envelope.content
        (self.folder / f"{self.count}.part").write_bytes(content)
        (self.folder / f"{self.count}.part").rename(self.folder / f"{self.count}.eml")
        return f"250 2.0.0 queued as test-{self.count}"


def authenticate(server, session, envelope, mechanism, data):
    is_right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"permitd", b"open sesame")
    return AuthResult(success=is_right, handled=False, auth_data=data.login.decode() if is_right else None)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--tls", choices=["none", "starttls", "tls"], default="none")
    parser.add_argument("--auth", action="store_true")
    parser.add_argument("--utf8", action="store_true", help="take SMTPUTF8")
    options = parser.parse_args()

    context = None
    if options.tls != "none":
        authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
        authority.cert_pem.write_to_path(str(options.folder / "ca.pem"))

    handler = Handler(options.folder)

    def session():
        return SMTP(
            handler,
            hostname="smtp.test",
            enable_SMTPUTF8=options.utf8,
            tls_context=context if options.tls == "starttls" else None,
            require_starttls=options.tls == "starttls",
            authenticator=authenticate if options.auth else None,
            auth_required=options.auth,
            auth_require_tls=options.tls == "starttls",
        )

    server = await asyncio.get_running_loop().create_server(
        session, "localhost", 0, ssl=context if options.tls == "tls" else None, family=2
    )
    print("listening on", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def end_with_input():
    sys.stdin.read()
    os._exit(0)


# Failed handshakes and stalls are what the tests are about.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)
threading.Thread(target=end_with_input, daemon=True).start()
asyncio.run(main())
