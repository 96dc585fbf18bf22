# SPDX-License-Identifier: GPL-2.0-or-later
"""
From a fix of Debian's to a daemon that has it: the source, the patch, the daemon under
load, the probe before, with and after, and a row of a table.
"""
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# For another apt that is at work.
WAITING = ('-o', 'DPkg::Lock::Timeout=600')


class Wrong(Exception):
    """What was seen is not what must be."""


def need(condition, text):
    if not condition:
        raise Wrong(text)


def run(*argv, log=None, cwd=None, env=None, status=(0,), timeout=14400):
    """Runs a command; what it prints goes to log, and its end into the error."""
    with open(log or os.devnull, 'w') as out:
        done = subprocess.run(argv, stdout=out, stderr=subprocess.STDOUT, cwd=cwd, env=env,
                              timeout=timeout)
    if done.returncode not in status:
        tail = open(log).read()[-400:] if log else ''
        raise Wrong(f'{" ".join(argv[:6])}: status {done.returncode} (log: {log}): {tail}')
    return done.returncode


def wait_port(port, kind=socket.SOCK_STREAM, seconds=20):
    for _ in range(seconds * 10):
        with socket.socket(socket.AF_INET, kind) as s:
            try:
                s.connect(('127.0.0.1', port))
                return
            except OSError:
                time.sleep(0.1)
    raise Wrong(f'nobody listens at port {port}')


def talk(port, data, timeout=3, size=65536):
    """What is answered until the other side is silent or closes."""
    answer = b''
    with socket.create_connection(('127.0.0.1', port), timeout=timeout) as s:
        s.sendall(data)
        try:
            while len(answer) < size:
                part = s.recv(size)
                if not part:
                    break
                answer += part
        except (socket.timeout, ConnectionResetError):
            pass
    return answer


def status_of(answer):
    """The status of an HTTP answer."""
    words = answer.split(None, 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


class Fix:
    """
    One fix.  A shipped pair names the version that runs and the one that has the fix; else
    the version has the fix, which is taken out (pop) before anything is built.
    """
    number = title = package = version = None
    newer = only = None    # a shipped pair: the version with the fix, which of its patches
    pop = ()               # patches of debian/patches that are taken out, the last first
    fix = ()               # those of them that are the fix, in order
    below = ''             # only the files in this folder count
    program = None         # path in the package, or under debian/ of a build
    object = None          # what is patched, where it is not the program
    expect = 'patched'     # or the reason of a refusal
    without = ()           # packages that another's build needs and this one is spoilt by
    notes = ()             # kinds that the build has to say
    options = ()           # more of stitch build's
    load_ends = False      # the load says what went wrong only if it ends by itself
    is_destructive = False # the probe ends a daemon without the fix
    is_small = False       # one of those that make check runs

    def __init__(self, stitch, work, quick):
        self.stitch, self.quick = os.path.abspath(stitch), quick
        self.work = os.path.join(os.path.abspath(work), self.number)
        self.slp = os.path.join(self.work, 'fix.slp')
        self.processes, self.facts = [], {}
        os.makedirs(self.work, exist_ok=True)

    # ---- what a fix says of itself ------------------------------------------------

    def start(self):
        """Starts the daemon; self.root is where its package or its build is."""
        raise NotImplementedError

    def probe(self):
        """True if the fix is in effect."""
        raise NotImplementedError

    def load(self):
        """A command that loads the daemon for as long as it is left to, or None."""
        return None

    def failed(self, output):
        """Requests that went wrong, by the load's output."""
        return 0

    def probe_before(self):
        """The same where the probe would end the daemon: of another instance."""
        return self.probe()

    def edit(self, tree):
        """What the patch needs beyond the fix: written into the fixed source."""

    # ---- building -------------------------------------------------------------------

    def path(self, *parts):
        return os.path.join(self.work, *parts)

    def spawn(self, *argv, env=None, cwd=None):
        log = open(self.path('daemon.log'), 'a')
        process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                   env=dict(os.environ, **(env or {})), cwd=cwd or self.work,
                                   start_new_session=True)
        log.close()
        self.processes.append(process)
        return process

    def source(self):
        """The source without the fix, and the fix."""
        tree, diff = self.path('source'), self.path('fix.patch')
        if os.path.exists(self.path('source.done')):
            return tree, diff
        shutil.rmtree(tree, ignore_errors=True)
        run(os.path.join(ROOT, 'scripts/fetch-source'), f'{self.package}={self.version}',
            self.path('archive'), log=self.path('fetch.log'))
        dsc = glob.glob(self.path('archive', '*.dsc'))[0]
        run('dpkg-source', '-x', dsc, tree, log=self.path('unpack.log'))
        patches = os.path.join(tree, 'debian/patches')
        fixed = self.path('fixed')
        shutil.rmtree(fixed, ignore_errors=True)
        for name in self.pop:
            if name == self.fix[-1]:
                shutil.copytree(tree, fixed, symlinks=True)
            run('patch', '-R', '-p1', '--batch', '-i', self.part(os.path.join(patches, name)),
                cwd=tree, log=self.path('pop.log'))
        self.edit(fixed)
        with open(diff, 'w') as out:
            subprocess.run(['diff', '-ruN', '-x', '.pc', '-x', 'debian', 'source', 'fixed'],
                           cwd=self.work, stdout=out)
        need(os.path.getsize(diff), 'the fix is empty')
        shutil.rmtree(fixed)
        open(self.path('source.done'), 'w').close()
        return tree, diff

    def part(self, patch):
        """Of a patch what is for files below a folder."""
        pieces = re.split(r'^(?=--- )', open(patch, errors='surrogateescape').read(), flags=re.M)
        path = self.path('popped.patch')
        with open(path, 'w', errors='surrogateescape') as out:
            out.write(''.join(p for p in pieces if re.match(r'--- \S.*\n\+\+\+ [^/]*/' +
                                                            re.escape(self.below), p)))
        return path

    def build_deps(self):
        dsc = glob.glob(self.path('archive', '*.dsc'))[0]
        env = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
        if self.without:
            run('apt-get', *WAITING, 'remove', '-y', '-qq', *self.without, env=env,
                status=(0, 100), log=self.path('remove.log'))
        run('apt-get', *WAITING, 'build-dep', '-y', '-qq', '--arch-only',
            '--no-install-recommends', dsc, env=env,
            log=self.path('build-dep.log'))

    def build_env(self):
        return dict(os.environ, LC_ALL='C.UTF-8', DPKG_GENSYMBOLS_CHECK_LEVEL='0',
                    DEB_BUILD_OPTIONS=f'nocheck noddebs parallel={os.cpu_count()}')

    def plain(self, tree):
        """Seconds of a plain build of the same source."""
        mark = self.path('plain.seconds')
        if not os.path.exists(mark):
            copy = self.path('plain')
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(tree, copy, symlinks=True)
            start = time.time()
            run('dpkg-buildpackage', '-B', '-uc', cwd=copy, env=self.build_env(),
                log=self.path('plain.log'))
            with open(mark, 'w') as out:
                out.write(str(time.time() - start))
            shutil.rmtree(copy)
        return float(open(mark).read())

    def build_shipped(self):
        # What apt is asked for once serves the plain build, too.
        return [self.stitch, 'build', '--debian', f'{self.package}={self.version}',
                '--fix-from', self.newer, *(['--only', self.only] if self.only else []), '-o', self.slp, '--work', self.path('debian'),
                '--name', self.number, *self.options]

    def build_popped(self, tree, diff, binary):
        return [self.stitch, 'build', '--source', tree, '--patch', diff, '-o', self.slp,
                '--work', self.path('build'), '--name', self.number, *self.options,
                *(['--binary', binary] if binary else []), '--',
                'dpkg-buildpackage', '-B', '-uc']

    def build(self):
        """The patch, or the reason why there is none."""
        log = self.path('stitch.log')
        if self.newer:
            status = run(*self.build_shipped(), log=log, status=(0, 4))
            self.root = self.path('debian/shipped')
        else:
            tree, diff = self.source()
            self.build_deps()
            self.root = self.path('build/1-original/tree/debian')
            binary = os.path.join(self.root, self.object or self.program)
            if not os.path.exists(binary):
                run(*self.build_popped(tree, diff, None), log=log, status=(0, 2, 4),
                    env=self.build_env())
            status = run(*self.build_popped(tree, diff, binary), log=log, status=(0, 4),
                         env=self.build_env())
        reason = re.findall(r'\[([a-z-]+)\]\s*$', open(log).read())
        return reason[-1] if status else None

    # ---- the daemon -----------------------------------------------------------------

    def tool(self, *args):
        done = subprocess.run([self.stitch, *map(str, args)], capture_output=True, text=True)
        need(done.returncode == 0, f'stitch {" ".join(map(str, args))}: {done.stderr.strip()}')
        return done.stdout

    def select(self):
        """How stitch is told which processes: those of our own and their children."""
        pids = []
        for process in self.processes:
            for path in ['/proc/%d' % process.pid] + [f'/proc/{p}' for p in
                                                      children(process.pid)]:
                pids.append(os.path.basename(path))
        return pids

    def apply(self):
        rows = json.loads(self.tool('--json', 'apply', '-t', 60, *self.select(),
                                    self.slp))['processes']
        self.facts['apply_ms'] = max(r['total_us'] for r in rows) / 1000
        self.facts['pause_us'] = max(r['worst_pause_us'] for r in rows)

    def see(self, want, when, probe=None):
        got = (probe or self.probe)()
        self.facts.setdefault('probe', []).append('new' if got else 'old')
        need(got == want, f'{when}: the probe says that the fix is '
             f'{"" if got else "not "}in effect')

    def patch_under_load(self):
        self.start()
        if self.is_destructive:
            self.see(False, 'before', self.probe_before)
        command = self.load()
        # Where this is run in the background, SIGINT is ignored by all that it starts.
        load = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, preexec_fn=lambda: signal.signal(
                                    signal.SIGINT, signal.SIG_DFL)) if command else None
        time.sleep(0.5)
        try:
            if not self.is_destructive:
                self.see(False, 'before')
            self.apply()
            self.see(True, 'with the patch')
            self.tool('revert', '-t', '60', *self.select())
            if not self.is_destructive:
                self.see(False, 'reverted')
        finally:
            self.end_load(load)
        if self.is_destructive:
            self.see(False, 'reverted')
        need(self.facts['failed'] in ('-', 0), f'{self.facts["failed"]} requests failed')

    def end_load(self, load):
        self.facts['failed'] = '-'
        if not load:
            return
        early = load.poll() is not None
        if not self.load_ends:
            load.send_signal(signal.SIGINT)
        output = load.communicate(timeout=60)[0]
        with open(self.path('load.log'), 'w') as out:
            out.write(output)
        self.facts['failed'] = self.failed(output)
        need(not early, f'the load ended by itself: {output}')

    def stop(self):
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        self.processes = []

    # ---- all ------------------------------------------------------------------------

    def check(self):
        # Built anew: only then is its time the build's.
        if not self.quick:
            for name in ('build', 'debian/build'):
                shutil.rmtree(self.path(name), ignore_errors=True)
        if self.newer and not self.quick:
            self.prefetch()
        elif not self.newer:
            self.source()
            self.build_deps()
        start = time.time()
        reason = self.build()
        self.facts['build'] = time.time() - start
        if not self.quick:
            self.facts['plain'] = self.plain(self.plain_tree())
        need((reason or 'patched') == self.expect, f'the build says {reason or "patched"}, must '
             f'be {self.expect} (log: {self.path("stitch.log")})')
        if reason:
            return
        shown = json.loads(self.tool('--json', 'show', self.slp))
        self.facts['object'] = shown['objects'][0]['name']
        self.facts['functions'] = len(shown['objects'][0]['functions'])
        said = [n['kind'] for n in shown['notes']]
        need(all(kind in said for kind in self.notes), f'the build must say {self.notes}: {said}')
        try:
            self.patch_under_load()
        finally:
            self.stop()

    def plain_tree(self):
        if not self.newer:
            return self.path('source')
        return [p[:-5] for p in glob.glob(self.path('debian', '*.done'))
                if os.path.isdir(os.path.join(p[:-5], 'debian')) and
                not p.endswith('.newer.done')][0]

    def prefetch(self):
        """What is fetched and installed is not the build's time."""
        run(*self.build_shipped(), '--download-only', log=self.path('prefetch.log'))


def children(pid):
    found = []
    for task in glob.glob(f'/proc/{pid}/task/*/children'):
        try:
            words = open(task).read().split()
        except OSError:
            continue
        for word in words:
            found += [word, *children(word)]
    return found
