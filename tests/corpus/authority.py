#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
usage: authority.py PORT

A name server of its own kind for tests: NAME.load has an address, shortN.probe an MX record
whose name goes on behind its end, and NAME.promisc an address with an NS record beside it
that nobody asked for.
"""
import socket
import struct
import sys


def labels(data, at):
    out = []
    while data[at]:
        out.append(data[at + 1:at + 1 + data[at]].decode())
        at += 1 + data[at]
    return out, at + 1


def record(kind, data, name=b'\xc0\x0c', ttl=60):
    return name + struct.pack('>HHIH', kind, 1, ttl, len(data)) + data


def answer(query):
    name, end = labels(query, 12)
    kind = struct.unpack('>H', query[end:end + 2])[0]
    answers, authority = [], []
    if name[-1:] == ['probe'] and kind == 15:
        answers.append(record(15, b'\0\x0a\x20') + 32 * b'a' + b'\0')
    elif kind == 1:
        answers.append(record(1, bytes([10, 0, 0, 1])))
        if name[-1:] == ['promisc']:
            authority.append(record(2, b'\x03bad' + b'\xc0\x0c'))
    return (query[:2] + struct.pack('>5H', 0x8580, 1, len(answers), len(authority), 0) +
            query[12:end + 4] + b''.join(answers + authority))


def main():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('127.0.0.1', int(sys.argv[1])))
    while True:
        query, sender = s.recvfrom(4096)
        try:
            s.sendto(answer(query), sender)
        except (IndexError, UnicodeDecodeError, struct.error):
            pass


if __name__ == '__main__':
    main()
