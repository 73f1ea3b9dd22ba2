"""What a broker says of the cluster, as JSON: metadata.py HOST [PORT].
Or has the controller make a topic: metadata.py HOST PORT TOPIC PARTITIONS REPLICAS; or a topic's setting as that broker goes by
it: metadata.py HOST PORT TOPIC SETTING.
By Kafka's protocol itself, so that no test believes Octad alone."""

import json
import socket
import struct
import sys


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


class Answer:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def number(self, form):
        value = struct.unpack_from(">" + form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def text(self):
        length = self.number("h")
        value = self.data[self.at : self.at + max(length, 0)].decode()
        self.at += max(length, 0)
        return value

    def all(self, read):
        return [read() for _ in range(self.number("i"))]


def ask(host, port, key, version, body):
    request = struct.pack(">hhi", key, version, 1) + text("test") + body
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.settimeout(30)
        connection.sendall(struct.pack(">i", len(request)) + request)
        stream = connection.makefile("rb")
        (length,) = struct.unpack(">i", stream.read(4))
        answer = Answer(stream.read(length))
    answer.number("i")
    return answer


def metadata(host, port):
    answer = ask(host, port, 3, 1, struct.pack(">i", -1))
    brokers = answer.all(lambda: (answer.number("i"), answer.text(), answer.number("i"), answer.text())[:2])
    controller = answer.number("i")

    def partition():
        answer.number("h")
        number, leader = answer.number("i"), answer.number("i")
        replicas, isr = answer.all(lambda: answer.number("i")), answer.all(lambda: answer.number("i"))
        return {"partition": number, "leader": leader, "replicas": replicas, "isr": isr}

    def topic():
        answer.number("h")
        name, _ = answer.text(), answer.number("?")
        return [entry | {"topic": name} for entry in answer.all(partition)]

    partitions = [entry for entries in answer.all(topic) for entry in entries]
    return {"brokers": sorted(number for number, _ in brokers), "controller": controller, "partitions": partitions}


def create(host, port, topic, partitions, replicas):
    wanted = text(topic) + struct.pack(">ihii", partitions, replicas, 0, 0)
    answer = ask(host, port, 19, 0, struct.pack(">i", 1) + wanted + struct.pack(">i", 20000))
    answer.number("i"), answer.text()
    return answer.number("h")


def setting(host, port, topic, name):
    wanted = struct.pack(">ib", 1, 2) + text(topic) + struct.pack(">i", 1) + text(name)
    answer = ask(host, port, 32, 1, wanted + b"\0")
    answer.number("i"), answer.number("i"), answer.number("h"), answer.text(), answer.number("b"), answer.text()
    return {answer.text(): answer.text() for _ in range(answer.number("i"))}[name]


host, port = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 9092
if len(sys.argv) == 5:
    print(setting(host, port, sys.argv[3], sys.argv[4]))
    sys.exit()
if len(sys.argv) > 3:
    sys.exit(create(host, port, sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
print(json.dumps(metadata(host, port)))
