#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A real daemon on any architecture: Debian's tinyproxy, built from its source, loaded by
several clients, gets a security fix of Debian's (CVE-2022-40468) and loses it, again and
again.  No request may fail; a probe says which version answered.
"""
import glob
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILT, CROSS, PATIENCE, Prepared, Stitch, Suite, is_built, need, sh  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VERSION = '1.11.1-2.1+deb12u1'
FIX = '0001-prevent-junk-from-showing-up-in-error-page-in-invali.patch'
PORT = 7440
# Debian's options for the program, without its manual.
BUILD = f'''set -e
ac_cv_func_malloc_0_nonnull=yes ac_cv_func_realloc_0_nonnull=yes ./configure \\
    --host={(CROSS or 'x86_64-linux-gnu-').rstrip('-')} --enable-filter --enable-reverse \\
    --enable-upstream --enable-xtinyproxy \\
    CFLAGS='-g -O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE' \\
    LDFLAGS='-pie -Wl,-z,relro -Wl,-z,now' >/dev/null
make -C src -j2
'''


def fetch():
    """The source package, once for all architectures."""
    cache = os.path.join(os.path.dirname(BUILT) if BUILT else '/tmp', 'stitch-tinyproxy')
    tree = os.path.join(cache, 'tree')
    if not os.path.exists(tree + '.done'):
        shutil.rmtree(cache, ignore_errors=True)
        sh(os.path.join(ROOT, 'scripts/fetch-source'), f'tinyproxy={VERSION}', cache)
        sh('dpkg-source', '-x', glob.glob(cache + '/*.dsc')[0], tree)
        open(tree + '.done', 'w').close()
    return tree


def build(stitch, folder):
    """The program without the fix, as it is shipped, and the patch."""
    source, run = os.path.join(folder, 'source.work'), os.path.join(folder, 'run.work')
    for path in (source, run):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(fetch(), path)
        sh('patch', '-R', '-p1', '--batch', '-i', f'debian/patches/{FIX}', cwd=path)
    script = os.path.join(folder, 'build.work')
    with open(script, 'w') as f:
        f.write(BUILD)
    sh('sh', script, cwd=run)
    prog = os.path.join(folder, 'tinyproxy')
    shutil.copy(os.path.join(run, 'src/tinyproxy'), prog)
    sh(CROSS + 'strip', prog)
    stitch.ok('build', '--source', source, '--patch',
              os.path.join(fetch(), 'debian/patches', FIX), '--binary', prog,
              '-o', os.path.join(folder, 'fix.slp'), '--', 'sh', script, timeout=600)


def ask(request, timeout=60):
    answer = b''
    with socket.create_connection(('127.0.0.1', PORT), timeout=timeout) as s:
        s.sendall(request)
        while True:
            part = s.recv(65536)
            if not part:
                return answer
            answer += part


def probe():
    """The page says what it took for the address: nothing, or what memory held."""
    page = ask(b'NONSENSE\r\n\r\n')
    need(b'<' in page and b'>' in page, f'no page: {page!r}')
    return page.split(b'<')[1].split(b'>')[0] == b''


class Load:
    """Clients that ask for the page of statistics, which every thread of the daemon serves."""

    def __init__(self, clients=4):
        self.stop, self.done, self.failed = False, 0, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.stop:
            try:
                answer = ask(b'GET http://tinyproxy.stats/ HTTP/1.0\r\n\r\n')
                why = None if b' 200 ' in answer.split(b'\r\n')[0] else answer[:100]
            except OSError as e:
                why = e
            with self.lock:
                self.done += 1
                if why:
                    self.failed.append(why)

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join(60)


def is_interrupted(why):
    """
    Sockets with a timeout, as tinyproxy's, give EINTR after any stop (signal(7)), and it
    closes the connection.  stitch mends that but on arm64, whose kernel does not show
    a tracer what was called (docs/porting.md).
    """
    return os.uname().machine == 'aarch64' and isinstance(why, ConnectionResetError)


def start(folder, prog):
    with open(os.path.join(folder, 'page'), 'w') as f:
        f.write('<{url}>\n')
    conf = os.path.join(folder, 'conf')
    with open(conf, 'w') as f:
        f.write(f'Port {PORT}\nListen 127.0.0.1\nTimeout 600\nMaxClients 50\n'
                f'StatHost "tinyproxy.stats"\nLogLevel Critical\nAllow 127.0.0.1\n'
                f'LogFile "{folder}/log"\nErrorFile 400 "{folder}/page"\n')
    # Fresh memory of malloc's holds this and not by chance nothing.
    env = dict(os.environ, MALLOC_PERTURB_='90', GLIBC_TUNABLES='glibc.malloc.tcache_count=0')
    server = subprocess.Popen([prog, '-d', '-c', conf], stdout=subprocess.DEVNULL, env=env)
    for _ in range(300):
        try:
            ask(b'GET http://tinyproxy.stats/ HTTP/1.0\r\n\r\n')
            return server
        except OSError:
            time.sleep(0.1)
    raise AssertionError('tinyproxy does not answer')


def test_tinyproxy(stitch, folder):
    prog, slp = os.path.join(folder, 'tinyproxy'), os.path.join(folder, 'fix.slp')
    if not is_built():
        build(stitch, folder)
    if CROSS:
        raise Prepared()
    rounds = int(os.environ.get('DAEMON_ROUNDS') or
                 (1000 if os.environ.get('VM_FULL') else 6 if BUILT else 100))
    server = start(folder, prog)
    load = Load(clients=2 if BUILT else 4)
    try:
        need(not probe(), 'before: the fix is in effect')
        for _ in range(rounds):
            stitch.ok('apply', '-t', PATIENCE, server.pid, slp)
            need(probe(), 'with the patch: the fix is not in effect')
            stitch.ok('revert', '-t', PATIENCE, server.pid)
            need(not probe(), 'reverted: the fix is in effect')
        load.end()
        need(server.poll() is None, 'tinyproxy has ended')
        wrong = [w for w in load.failed if not is_interrupted(w)]
        need(load.done > rounds and not wrong and len(load.failed) * 20 < load.done,
             f'{len(load.failed)} of {load.done} requests failed: {(wrong or load.failed)[:3]}')
        print(f'# tinyproxy: {rounds} rounds, {load.done} requests, {len(load.failed)} '
              'interrupted')
    finally:
        load.stop = True
        server.kill()
        server.wait()


def main():
    stitch = Stitch(sys.argv[1])
    suite = Suite('daemon')
    suite.add('tinyproxy', lambda folder: test_tinyproxy(stitch, folder))
    return suite.run(sys.argv[2:])


if __name__ == '__main__':
    sys.exit(main())
