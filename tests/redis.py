#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's redis-server under load: patched, probed, reverted.

usage: redis.py STITCH WORK ROUNDS
WORK holds the server as shipped (old/) and the patch (fix.slp); scripts/demo
makes both.  With one round it tells a story; with more it is a test.
"""
import json
import os
import socket
import subprocess
import sys
import threading
import time

# A stream whose one pending entry belongs to two consumers, with a right
# checksum: the server must refuse it, and before the fix it does not.
PAYLOAD = bytes.fromhex(
    '0f01100000000000000001000000000000000025250000000a00010100010101856669656c64060001020100'
    '0100018576616c7565060401ff01010001076d7967726f757001000100000000000000010000000000000000'
    '4a79898f9f010000010209636f6e73756d6572414a79898f9f01000001000000000000000100000000000000'
    '0009636f6e73756d6572425479898f9f01000001000000000000000100000000000000000900f6ea7b6cb8b8'
    'd8b4')
PORT = 7390


class Redis:
    def __init__(self, timeout=10):
        self.socket = socket.create_connection(('127.0.0.1', PORT), timeout=timeout)
        self.file = self.socket.makefile('rb')

    def command(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(b'*%d\r\n' % len(words) +
                            b''.join(b'$%d\r\n%s\r\n' % (len(w), w) for w in words))
        line = self.file.readline().rstrip()
        if line[:1] == b'$' and line != b'$-1':
            return self.file.read(int(line[1:]) + 2)[:-2]
        return line

    def close(self):
        self.file.close()
        self.socket.close()


def probe():
    redis = Redis()
    answer = redis.command('RESTORE', 'stitch-probe', 0, PAYLOAD).decode()
    redis.command('DEL', 'stitch-probe')
    redis.close()
    return answer


class Load:
    """Clients that set and get in a closed loop and count what goes wrong."""

    def __init__(self, clients=4):
        self.stop = False
        self.lock = threading.Lock()
        self.latencies, self.failed, self.done = [], 0, 0
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True)
                        for n in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, n):
        redis, i = Redis(), 0
        while not self.stop:
            i += 1
            start = time.perf_counter()
            try:
                ok = redis.command('SET', f'key:{n}:{i % 1000}', i) == b'+OK' and \
                    redis.command('GET', f'key:{n}:{i % 1000}') == str(i).encode()
            except OSError:
                ok = False
            took = time.perf_counter() - start
            with self.lock:
                self.done += 2
                self.failed += not ok
                self.latencies.append(took / 2)
            if not ok:
                return
        redis.close()

    def second(self):
        with self.lock:
            taken, self.latencies = sorted(self.latencies), []
        if not taken:
            return 'no answer'
        at = lambda q: taken[min(len(taken) - 1, int(q * len(taken)))] * 1e6
        return (f'{2 * len(taken):6d} requests, p50 {at(.5):5.0f} us, p99 {at(.99):5.0f} us, '
                f'worst {taken[-1] * 1e6:6.0f} us, failed {self.failed}')

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join(10)


def stitch(*args):
    done = subprocess.run([STITCH, *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f'stitch {" ".join(map(str, args))}: {done.stderr.strip()}')
    return done.stdout.strip()


def expect(answer, wanted):
    if not answer.startswith(wanted):
        sys.exit(f'the probe answered {answer!r}, wanted {wanted!r}')
    return answer


def story(pid, slp):
    bench = subprocess.Popen(['redis-benchmark', '-p', str(PORT), '-q', '-t', 'set,get,lpush', '-n',
                              '100000000', '-c', '20', '-P', '4'], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    load = Load()
    try:
        def seconds(n, what):
            for _ in range(n):
                time.sleep(1)
                print(f'   {what:9} {load.second()}', flush=True)
        print('\n== The server runs under redis-benchmark (20 clients) and four clients that count')
        seconds(3, 'old')
        print(f'   probe: {expect(probe(), "+OK")}   <- the corrupt payload is accepted')
        print('\n== stitch apply'); print('   ' + stitch('apply', '-t', 60, pid, slp))
        seconds(4, 'patched')
        print(f'   probe: {expect(probe(), "-ERR Bad data format")}   <- refused: the fix is in effect')
        print('\n== stitch list'); print('   ' + stitch('list', pid).replace('\n', '\n   '))
        print('\n== stitch revert'); print('   ' + stitch('revert', '-t', 60, pid))
        seconds(3, 'reverted')
        print(f'   probe: {expect(probe(), "+OK")}   <- as before')
        load.end()
        alive = bench.poll() is None
    finally:
        bench.kill()
        bench.wait()
    print(f'\nThe shipped, stripped redis-server (process {pid}) was never restarted. It took the fix\n'
          f'while it answered {load.done} counted requests, {load.failed} of which failed, and gave it\n'
          'back. redis-benchmark ' + ('ran through all of it.' if alive else 'ended early!'))
    return 0 if alive and not load.failed else 1


def rounds(pid, slp, nr):
    load = Load()
    worst = 0
    print(f'1..1')
    for n in range(nr):
        applied = json.loads(stitch('--json', 'apply', '-t', 60, pid, slp))['processes'][0]
        expect(probe(), '-ERR Bad data format')
        stitch('revert', '-t', 60, pid)
        expect(probe(), '+OK')
        worst = max(worst, applied['worst_pause_us'])
    load.end()
    print(f'# {nr} rounds under load, {load.done} requests, {load.failed} failed, '
          f'longest hold {worst} us')
    print('ok 1 redis-server under load' if not load.failed else 'not ok 1 requests failed')
    print(f'redis: {0 if load.failed else 1} passed, {1 if load.failed else 0} failed, 0 skipped')
    return 1 if load.failed else 0


def main():
    work, nr = os.path.abspath(sys.argv[2]), int(sys.argv[3])
    slp = os.path.join(work, 'fix.slp')
    server = subprocess.Popen([os.path.join(work, 'old/usr/bin/redis-server'), '--port', str(PORT),
                               '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
                              stdout=subprocess.DEVNULL, cwd=work)
    try:
        for _ in range(100):
            try:
                Redis().close()
                break
            except OSError:
                time.sleep(0.1)
        return story(server.pid, slp) if nr == 1 else rounds(server.pid, slp, nr)
    finally:
        server.kill()
        server.wait()


if __name__ == '__main__':
    STITCH = sys.argv[1]
    sys.exit(main())
