# SPDX-License-Identifier: GPL-2.0-or-later
"""What the test scripts share: running stitch, programs that check themselves, TAP."""
import atexit
import concurrent.futures
import ctypes
import errno
import functools
import hashlib
import json
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback


# Tests of another architecture are built here, with its cross compiler, and run in a machine
# of their own (tests/vm): STITCH_CROSS is the compiler's prefix, STITCH_BUILT the folder in
# which everything is built, and found there.
CROSS = os.environ.get('STITCH_CROSS', '')
BUILT = os.environ.get('STITCH_BUILT')
# In an emulated machine, beside everything else, all takes its time.
SLOWER = 4 if os.environ.get('STITCH_SLOW') else 1
# How long a command may take that will be done some time, in seconds.
PATIENCE = 60 * SLOWER


# What is built is kept here for other tests that want the same, in a folder of its own or
# that of STITCH_KEPT, which suites with another build of the same stitch can share.
KEPT = os.environ.get('STITCH_KEPT')
if not KEPT:
    KEPT = tempfile.mkdtemp(prefix='stitch-kept-')
    atexit.register(shutil.rmtree, KEPT, ignore_errors=True)
locks = {}


def kept(folder, how, results, build):
    """
    The files results, as build() makes them of folder, which is all that they depend on but
    for the words how.  Who gets a copy of what was built before may do with it what he wants.
    """
    words = [CROSS, *how]
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(root, name)
            words.append(os.path.relpath(path, folder) + open(path, encoding='latin-1').read())
    place = os.path.join(KEPT, hashlib.sha256('\0'.join(map(str, words)).encode()).hexdigest())
    with locks.setdefault(place, threading.Lock()):
        if os.path.exists(place):
            for n, path in enumerate(results):
                shutil.copy2(os.path.join(place, str(n)), path)
            return
        build()
        whole = tempfile.mkdtemp(dir=KEPT)
        for n, path in enumerate(results):
            shutil.copy2(path, os.path.join(whole, str(n)))
        try:
            os.rename(whole, place)
        except OSError:  # a suite beside this one was first
            shutil.rmtree(whole)


# For stitch build, where a test has it build something once: nobody would find it in a cache.
ONCE = {'CCACHE_DISABLE': '1'}


class Prepared(Exception):
    """All that the test needs has been built; the rest is for the machine that runs it."""


def is_built():
    """What a test builds is there already."""
    return bool(BUILT) and not CROSS


class Skip(Exception):
    """The test cannot run here; its text says why."""


class Failure(AssertionError):
    """What was seen is not what must be."""


def need(condition, text):
    if not condition:
        raise Failure(text)


@functools.lru_cache(None)
def has_breakpoints():
    """Execution breakpoints of perf_event_open(2) fire here: some machines take them, and no more."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = {'x86_64': 298, 'aarch64': 241, 's390x': 331, 'ppc64le': 319}[os.uname().machine]
    at = ctypes.cast(libc.getppid, ctypes.c_void_p).value
    # PERF_TYPE_BREAKPOINT, size, a sample each time, user space alone, HW_BREAKPOINT_X.
    attr = struct.pack('=IIQQQQQIIQQ', 5, 72, 0, 1, 0, 0, 0x60, 0, 4, at, 8)
    attr = ctypes.create_string_buffer(attr, 128)
    fd = libc.syscall(number, attr, 0, -1, -1, 8)
    if fd < 0:
        return False
    for _ in range(5):
        libc.getppid()
    count = int.from_bytes(os.read(fd, 8), sys.byteorder)
    os.close(fd)
    return count > 0


class Stitch:
    def __init__(self, path):
        self.path = os.path.abspath(path)
        self.has_sanitizers = 'asan' in self.path

    def run(self, *args, fault=None, env=None, timeout=120 * SLOWER, cwd=None):
        full = dict(os.environ, **(env or {}))
        if fault:
            full['STITCH_FAULT'] = fault
        # ASan would take half the memory of a target for its own shadow's sake.
        full.setdefault('ASAN_OPTIONS', 'detect_leaks=0:abort_on_error=0')
        return subprocess.run([self.path, *map(str, args)], capture_output=True, text=True,
                              env=full, timeout=timeout, cwd=cwd)

    def ok(self, *args, **kw):
        done = self.run(*args, **kw)
        need(done.returncode == 0, f'stitch {" ".join(map(str, args))}: status '
             f'{done.returncode}: {done.stderr.strip()} {done.stdout.strip()}')
        return done

    def refused(self, reason, *args, status=None, **kw):
        done = self.run(*args, **kw)
        need(done.returncode != 0 and f'[{reason}]' in done.stderr,
             f'stitch {" ".join(map(str, args))}: status {done.returncode}, wanted {reason}: '
             f'{done.stderr.strip()} {done.stdout.strip()}')
        need(status is None or done.returncode == status,
             f'status {done.returncode}, wanted {status}')
        return done

    def json(self, *args, **kw):
        return json.loads(self.ok('--json', *args, **kw).stdout)


def begin(argv, env, cwd):
    """
    Starts a program.  What was written a moment ago may still be open for that in a child of
    a test beside this one, which inherited it and has not come to its own program yet.
    """
    for _ in range(100):
        try:
            return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    env=env, cwd=cwd, bufsize=0)
        except OSError as why:
            if why.errno != errno.ETXTBSY:
                raise
        time.sleep(0.05)
    raise Failure(f'{argv[0]} stays busy')


class Program:
    """A program that speaks the protocol of tests/cases/live.h."""

    def __init__(self, argv, env=None, cwd=None):
        if CROSS:
            raise Prepared()
        self.process = begin(argv, env, cwd)
        self.buffer = b''
        self.pid = self.process.pid
        need(self.line() == 'ready', 'the program did not start')

    def line(self, timeout=30 * SLOWER):
        end = time.time() + timeout
        while b'\n' not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.time()))
            need(ready, f'the program does not answer for {timeout} s')
            data = os.read(self.process.stdout.fileno(), 4096)
            if not data:
                return ''
            self.buffer += data
        line, self.buffer = self.buffer.split(b'\n', 1)
        return line.decode().strip()

    def ask(self, text):
        try:
            self.process.stdin.write(text.encode() + b'\n')
        except BrokenPipeError:
            return ''
        return self.line()

    def check(self, version, when=''):
        answer = self.ask(f'check {version}')
        need(answer == 'ok', f'{when}: program: {answer or self.death()}')

    def death(self):
        try:
            return f'ended with {self.process.wait(5)}'
        except subprocess.TimeoutExpired:
            return 'silent'

    def alive(self):
        return self.process.poll() is None

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def sh(*argv, **kw):
    done = subprocess.run(argv, capture_output=True, text=True, **kw)
    need(done.returncode == 0, f'{" ".join(argv)}: {done.stderr.strip()}')
    return done.stdout


def diff_trees(folder, old, new):
    """fix.patch in a folder: from one of its trees to another."""
    done = subprocess.run(['diff', '-urN', old, new], cwd=folder, capture_output=True, text=True)
    with open(os.path.join(folder, 'fix.patch'), 'w') as f:
        f.write(done.stdout)


class Suite:
    """Runs tests, prints TAP, and ends with the line that counts them."""

    def __init__(self, name):
        self.name = name
        self.tests = []
        self.counts = {'passed': 0, 'failed': 0, 'skipped': 0}

    def add(self, name, function):
        self.tests.append((name, function))

    def one(self, name, function):
        folder = os.path.join(BUILT, self.name, name.replace(' ', '_')) if BUILT else \
            tempfile.mkdtemp(prefix='stitch-test-')
        os.makedirs(folder, exist_ok=True)
        start = time.time()
        try:
            function(folder)
            result = 'passed', ''
        except Prepared:
            result = 'passed', ''
        except Skip as why:
            result = 'skipped', str(why)
        except (Failure, subprocess.TimeoutExpired, ValueError) as why:
            result = 'failed', str(why)
        except Exception:
            result = 'failed', traceback.format_exc()
        if not BUILT:
            shutil.rmtree(folder, ignore_errors=True)
        return name, *result, time.time() - start

    def run(self, only=None, jobs=2):
        """only: what is in the names of those to run; with a minus in front, in no name."""
        wanted = [o for o in only or () if not o.startswith('-')]
        unwanted = [o[1:] for o in only or () if o.startswith('-')]
        tests = [t for t in self.tests if (not wanted or any(o in t[0] for o in wanted)) and
                 not any(o in t[0] for o in unwanted)]
        print(f'1..{len(tests)}')
        number = 0
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for future in [pool.submit(self.one, *t) for t in tests]:
                name, result, text, seconds = future.result()
                number += 1
                self.counts[result] += 1
                word = 'not ok' if result == 'failed' else 'ok'
                tail = f' # SKIP {text}' if result == 'skipped' else ''
                print(f'{word} {number} {name} ({seconds:.1f} s){tail}')
                if result == 'failed':
                    print(''.join(f'# {line}\n' for line in text.splitlines()), end='')
                sys.stdout.flush()
        c = self.counts
        print(f'{self.name}: {c["passed"]} passed, {c["failed"]} failed, {c["skipped"]} skipped')
        return 1 if c['failed'] else 0


def run_suite(name, functions):
    """Every test_... of a script; its arguments are stitch and, if any, names of tests."""
    stitch = Stitch(sys.argv[1])
    suite = Suite(name)
    for key, function in sorted(functions.items()):
        if key.startswith('test_'):
            suite.add(key[5:], lambda folder, f=function: f(stitch, folder))
    return suite.run(sys.argv[2:])
