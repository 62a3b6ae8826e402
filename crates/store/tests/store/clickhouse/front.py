"""A thin HTTP front over the engine of chdb, for tests: it is not ClickHouse's own server.

chdb has ClickHouse's engine and no server. This takes requests as ClickHouse's HTTP interface does, as far as the store makes
use of it: a statement in the body, or one that inserts in the query with its rows in the body; settings in the query; user and
password in headers; what is wrong as ClickHouse words it. What ClickHouse's own server does at the wire is not tested by it.

    front.py FOLDER PORT    keeps data in FOLDER, says its port, and ends when its input does
"""

import os
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb.session import Session

SETTINGS_OF_REQUESTS = {"query", "database", "user", "password"}
REFUSED = "Code: 516. DB::Exception: {}: Authentication failed: password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)"

# One statement at once is all that the engine takes of a process.
turn = threading.Lock()
session = None


def run(statement, settings, body):
    """What the engine answers to a statement."""
    reads = statement.lstrip().upper().startswith("SELECT")
    inserts = re.fullmatch(r"(INSERT INTO .*?) \((.*)\) FORMAT (\w+)", statement.strip(), re.S)
    said = ", ".join(f"{name} = '{value}'" for name, value in settings.items())
    said = f" SETTINGS {said}" if said and (reads or inserts) else ""
    if not inserts:
        return session.query(statement + said, "TabSeparated").bytes()
    into, columns, form = inserts.groups()
    with tempfile.NamedTemporaryFile(suffix=".rows") as rows:
        rows.write(body)
        rows.flush()
        source = f"SELECT {columns} FROM file('{rows.name}', {form})"
        return session.query(f"{into} ({columns}) {source}{said}").bytes()


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, b"Ok.\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        pairs = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        statement = pairs.get("query") or body.decode()
        user = self.headers.get("X-ClickHouse-User", "default")
        password = self.headers.get("X-ClickHouse-Key", "")
        if (user, password) != (os.environ.get("FRONT_USER", "default"), os.environ.get("FRONT_PASSWORD", "")):
            self.fail(403, REFUSED.format(user))
            return
        settings = {name: value for name, value in pairs.items() if name not in SETTINGS_OF_REQUESTS}
        try:
            with turn:
                answer = run(statement, settings, body)
        except Exception as error:
            self.fail(500, str(error))
            return
        self.answer(200, answer)

    def fail(self, status, words):
        code = re.match(r"Code: (\d+)", words)
        self.answer(status, words.encode() + b"\n", code and code.group(1))

    def answer(self, status, body, code=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    global session
    folder, port = sys.argv[1:]
    session = Session(folder)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Front)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    with turn:
        session.close()
    os._exit(0)


main()
