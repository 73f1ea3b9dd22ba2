"""Tries the bootstrap servers of a cluster again and again, and says where that changes. Answers `/health`: 200 where one of
them took a connection at the last try, 503 where none did.

canary.py ADDRESS:PORT SERVER,... SECONDS
"""

import http.server
import socket
import sys
import threading
import time

own, servers, pause = sys.argv[1], sys.argv[2].split(","), float(sys.argv[3])
reached = set()


def parts(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def takes_connections(server):
    try:
        socket.create_connection(parts(server), timeout=1).close()
        return True
    except OSError:
        return False


def watch():
    global reached
    while True:
        found = {server for server in servers if takes_connections(server)}
        for server in sorted(found ^ reached):
            print(server, "answers" if server in found else "is silent")
        reached = found
        time.sleep(pause)


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/health"
        self.send_response((200 if reached else 503) if known else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


threading.Thread(target=watch, daemon=True).start()
http.server.ThreadingHTTPServer(parts(own), Health).serve_forever()
