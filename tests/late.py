#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Objects that come and go: the kernel's selftests of module_coming and module_going, for
dlopen and dlclose, held against the order in which the library was told.
"""
import os
import select
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from cases import CASES, Case  # noqa: E402
from harness import (CROSS, ONCE, PATIENCE, Failure, Program, Skip, has_breakpoints, is_built, kept,  # noqa
                     need, run_suite, sh)
from live import HERE, SLOW, apply_up_to, both, make, wait_for, write_fix  # noqa: E402

# With its patch before its first constructor and until after its last destructor.
LOADED = '[pre=1 post=0 begin=101]'
UNLOADED = f'[end=101 pre_un={ord("p")} post_un=0]'


def build(stitch, folder, flags='-O2', callbacks=True, name='fix'):
    """The program, the library as it runs, and the library's patch."""
    work = os.path.join(folder, name + '.d')
    library = os.path.join(work, 'run', 'libplugin.so')
    prog, slp = os.path.join(folder, 'host'), os.path.join(folder, name + '.slp')
    if is_built():
        return prog, library, slp
    case = Case.__new__(Case)
    case.text = open(os.path.join(HERE, 'live', 'late', 'plugin.c')).read()
    shutil.rmtree(work, ignore_errors=True)
    paths = {}
    for which in ('old', 'new', 'run'):
        paths[which] = path = os.path.join(work, which)
        os.makedirs(path)
        text = case.version(which == 'new')
        if not callbacks:
            text = text.replace('#include <stitch/livepatch.h>', '')
        with open(os.path.join(path, 'case.c'), 'w') as f:
            f.write(text)
        with open(os.path.join(path, 'live.h'), 'w') as f:
            f.write('#define LIVE_NO_MAIN\n' + open(os.path.join(CASES, 'live.h')).read())
        with open(os.path.join(path, 'build.sh'), 'w') as f:
            f.write(f'set -e\n{CROSS}gcc {flags} -fPIC -c case.c -o case.o\n'
                    f'{CROSS}gcc -shared {flags} case.o -o libplugin.so\n')
    write_fix(work)
    if not os.path.exists(prog):
        sh(CROSS + 'gcc', '-O2', '-pthread', '-rdynamic', '-I', CASES,
           os.path.join(HERE, 'live', 'late', 'host.c'), '-o', prog)

    def build():
        sh('sh', 'build.sh', cwd=paths['run'])
        sh(CROSS + 'strip', library)
        stitch.ok('build', '--source', paths['old'], '--patch',
                  os.path.join(work, 'fix.patch'), '--binary', library, '-o', slp, '--', 'sh',
                  'build.sh', env=ONCE)

    kept(work, (name,), (library, slp), build)
    return prog, library, slp


def need_events():
    if not CROSS and not has_breakpoints():
        raise Skip('no execution breakpoints fire here: a follower finds an object only by '
                   'looking')


class Follower:
    def __init__(self, stitch, pid, slp, fault=None):
        env = dict(os.environ, **({'STITCH_FAULT': fault} if fault else {}))
        self.proc = subprocess.Popen([stitch.path, 'apply', '-v', '--follow', str(pid), slp],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                     env=env)
        self.seen = ''
        if not fault:
            self.until('following threads')

    def until(self, text):
        """Reads what it does until it says so; what comes behind that is for the next time."""
        end = time.time() + 60
        while text not in self.seen:
            ready, _, _ = select.select([self.proc.stderr], [], [], max(0, end - time.time()))
            more = os.read(self.proc.stderr.fileno(), 65536).decode() if ready else ''
            need(more, f'the follower {"ended" if ready else "is silent"}: {self.seen}')
            self.seen += more
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def stop(self):
        self.proc.send_signal(signal.SIGINT)
        out, _ = self.proc.communicate(timeout=PATIENCE)
        return self.proc.returncode, out

    def __enter__(self):
        return self

    def __exit__(self, kind, why, _):
        if self.proc.poll() is None:
            self.proc.kill()
        out, err = self.proc.communicate()
        if kind is Failure:
            raise Failure(f'{why}\n{out}{(self.seen + err)[-3000:]}')


def host(prog, library):
    p = Program([prog])
    need(p.ask('path ' + library) == 'ok', 'path')
    return p


def told(p, wanted, when):
    seen = p.ask('story')
    need(seen == wanted, f'{when}: {seen}, must be {wanted}')


def names(stitch, p):
    found = [x for x in stitch.json('list')['processes'] if x['pid'] == p.pid]
    return [(x['name'], x['state']) for f in found for x in f['patches']]


def told_or_looked(stitch, p, wanted, when):
    """
    arm64's kernel may leave a thread's breakpoint off after an event, and then what comes and
    goes is found by looking (docs/porting.md).
    """
    seen = p.ask('story')
    if os.uname().machine == 'aarch64' and seen != wanted:
        patched = [('fix', 'applied')] if wanted == LOADED else []
        wait_for(lambda: names(stitch, p) == patched, f'{when}: {seen}, and not looked for', 60)
        p.ask('story')
        return
    need(seen == wanted, f'{when}: {seen}, must be {wanted}')


def test_coming_and_going(stitch, folder):
    """Selftests 7, 8 and 9, ten lives; and what is left when the follower goes."""
    need_events()
    prog, library, slp = build(stitch, folder)
    with host(prog, library) as p:
        before = len(open(f'/proc/{p.pid}/maps').readlines())
        with Follower(stitch, p.pid, slp) as f:
            for _ in range(10):
                need(p.ask('load') == 'ok', 'load')
                told_or_looked(stitch, p, LOADED, 'loaded')
                p.check(1, 'loaded')
                p.ask('unload')
                told_or_looked(stitch, p, UNLOADED, 'unloaded')
            need(not names(stitch, p), f'{names(stitch, p)}')
            maps = open(f'/proc/{p.pid}/maps').read()
            need(len(maps.splitlines()) <= before + 1, f'memory is left: {maps}')
            p.ask('load')
            told_or_looked(stitch, p, LOADED, 'the last')
            status, out = f.stop()
            need(status == 0, out)
            need('waiting for libplugin.so' in out and out.count('applied fix') == 11 and
                 out.count('reverted fix') == 10, out)
        p.check(1, 'the follower has gone, the patch has not')
        stitch.ok('status', p.pid)
        stitch.ok('revert', p.pid)
        p.check(0, 'reverted')


def test_both(stitch, folder):
    """
    A patch of a program and of a library that comes late: the program's threads may be in
    what changes, so it takes a transition, and goes when the library does.
    """
    prog, slp = both(stitch, folder, 'late', os.path.join('late', 'both'))
    with Program([prog]) as p, Follower(stitch, p.pid, slp) as f:
        need(p.ask('sleep') == 'ok', 'no thread')
        time.sleep(0.2)
        seen = p.ask('load ' + os.path.join(os.path.dirname(prog), 'libone.so'))
        need(seen in ('3', '201'), seen)
        # The thread that sleeps in the program's function is waited for.
        end = time.time() + (6 if SLOW else 2)
        while time.time() < end:
            need(('late', 'applied') not in names(stitch, p), 'a thread was passed over')
            time.sleep(0.05)
        p.ask('wake')
        wait_for(lambda: names(stitch, p) == [('late', 'applied')], 'it is not applied', 60)
        p.check(1, 'applied')
        p.ask('unload')
        wait_for(lambda: p.ask('own') == '3', 'the program is still patched', 60)
        wait_for(lambda: not names(stitch, p), 'the patch is still there', 60)
        f.stop()


def test_there_already(stitch, folder):
    """Selftest 6: the object comes first; then it goes and comes again."""
    need_events()
    prog, library, slp = build(stitch, folder)
    with host(prog, library) as p:
        p.ask('load')
        told(p, '[begin=1]', 'loaded')
        with Follower(stitch, p.pid, slp):
            told(p, '[pre=1 post=0]', 'applied')
            p.check(1, 'applied')
            p.ask('unload')
            told(p, UNLOADED, 'unloaded')
            p.ask('load')
            told(p, LOADED, 'again')


def test_aside(stitch, folder):
    """Other commands work on a process that is followed."""
    need_events()
    prog, library, slp = build(stitch, folder)
    with host(prog, library) as p:
        with Follower(stitch, p.pid, slp) as f:
            p.ask('load')
            p.check(1, 'loaded')
            stitch.refused('already-applied', 'apply', p.pid, slp, status=4)
            f.until('following threads')
            p.ask('unload')
            need(p.ask('story').endswith(UNLOADED[1:]), 'unloaded')
            stitch.refused('followed', 'apply', '--follow', p.pid, slp, status=3)
            p.ask('load')
            told(p, LOADED, 'followed again')


def test_vfork(stitch, folder):
    """The follower leaves a thread that it cannot stop to another command, and to itself."""
    slp = build(stitch, folder)[2]
    prog, fix = make(stitch, folder, 'vfork_waits', slp='waits.slp')
    for before in (True, False):
        with Program([prog]) as p:
            need(not before or p.ask('vfork') == 'ok', 'no vfork')
            with Follower(stitch, p.pid, slp) as f:
                need(before or p.ask('vfork') == 'ok', 'no vfork')
                done = stitch.run('apply', '-t', '0.5', p.pid, fix)
                need('[busy]' in done.stderr or '[does-not-stop]' in done.stderr, done.stderr)
                f.until('following threads')
                need(p.ask('end') == '1 1', 'it does not go on')


def test_no_constructor(stitch, folder):
    """Without anything that would run by itself it is patched when it is there."""
    prog, library, slp = build(stitch, folder, callbacks=False,
                               flags='-O2 -nostartfiles -Dconstructor=unused '
                                     '-Ddestructor=unused')
    with host(prog, library) as p:
        with Follower(stitch, p.pid, slp) as f:
            for _ in range(3):
                p.ask('load')
                f.until('settled patch=fix')
                f.until('following threads')
                p.check(1, 'loaded')
                p.ask('unload')


def test_unfollowed(stitch, folder):
    """It goes, and comes again, while no tool is there."""
    prog, library, slp = build(stitch, folder)
    with host(prog, library) as p:
        p.ask('load')
        stitch.ok('apply', p.pid, slp)
        told(p, '[begin=1 pre=1 post=0]', 'applied')
        p.ask('unload')
        told(p, '[end=101]', 'nobody is there')
        # Whatever comes next cleans up.
        stitch.refused('object-not-loaded', 'apply', p.pid, slp, status=4)
        told(p, '[post_un=0]', 'cleaned up')
        need(not names(stitch, p), f'{names(stitch, p)}')
        p.ask('load')
        stitch.ok('apply', p.pid, slp)
        p.check(1, 'applied')
        p.ask('unload')
        p.ask('load')
        p.check(0, 'loaded anew, and not patched')
        need(stitch.run('status', p.pid).returncode != 0, 'status has to say so')
        stitch.ok('apply', p.pid, slp)
        p.check(1, 'applied again')
        stitch.ok('revert', p.pid)
        p.check(0, 'reverted')


def test_went_midway(stitch, folder):
    """The tool dies in the middle, and then the object goes: the rest can still be ended."""
    prog, library, slp = build(stitch, folder)
    steps = {'apply': ('arm-entry', 'armed', 'switch', 'settle-entry', 'dispatch-unmap'),
             'revert': ('arm-entry', 'switch', 'restore', 'restore-entry', 'unmap')}
    for verb, step in ((v, s) for v in steps for s in steps[v][::2 if SLOW else 1]):
        with host(prog, library) as p:
            need(p.ask('load') == 'ok', 'load')
            if verb == 'revert':
                stitch.ok('apply', p.pid, slp)
            stitch.run(verb, p.pid, *([slp] if verb == 'apply' else []), fault=step + ':kill')
            p.ask('unload')
            # One command takes up what was left and finds that the object has gone.
            for _ in range(2):
                stitch.refused('object-not-loaded', 'apply', p.pid, slp, status=4)
            need(not names(stitch, p), f'{verb}, {step}: {names(stitch, p)}')
            need(p.ask('load') == 'ok', 'load again')
            stitch.ok('apply', p.pid, slp)
            p.check(1, f'{verb}, {step}')
            stitch.ok('revert', p.pid)
            p.check(0, f'{verb}, {step}')


def test_in_the_end(stitch, folder):
    """With events or without: an object that has come is patched, and the one after it."""
    prog, library, slp = build(stitch, folder)
    with host(prog, library) as p:
        with Follower(stitch, p.pid, slp):
            for _ in range(3):
                need(p.ask('load') == 'ok', 'load')
                wait_for(lambda: p.ask('check 1') == 'ok', 'it is not patched', 60)
                # Between two looks, perhaps to the same place.
                p.ask('unload')
                p.ask('load')
                wait_for(lambda: p.ask('check 1') == 'ok', 'the next is not patched', 60)
                p.ask('unload')
                wait_for(lambda: all(state == 'retained' for _, state in names(stitch, p)),
                         f'it is not let go: {names(stitch, p)}', 60)
            need(p.alive(), 'the program died')


def test_gone_meanwhile(stitch, folder):
    """The object goes after it was looked at, and before anything of it is changed."""
    prog, library, slp = build(stitch, folder)
    with host(prog, library) as p:
        for step in ('record-map', 'arena-map'):
            need(p.ask('load') == 'ok', 'load')
            tool = apply_up_to(stitch, p, slp, step)
            p.ask('unload')
            os.kill(tool.pid, signal.SIGCONT)
            said = tool.communicate(timeout=2 * PATIENCE)[1]
            need(tool.returncode in (1, 3, 4) and 'stitch: ' in said,
                 f'{step}: {tool.returncode} {said}')
            need(step != 'record-map' or '[object-not-loaded]' in said, said)
            need(p.alive(), f'{step}: the program died')
            need(p.ask('load') == 'ok', 'load')
            stitch.ok('apply', p.pid, slp)
            p.check(1, f'{step}: applied after it')
            stitch.ok('revert', p.pid)
            p.check(0, f'{step}: reverted')
            p.ask('unload')


def test_storm(stitch, folder):
    """Loaded and unloaded all the time, while threads are made; never without its patch."""
    need_events()
    prog, library, slp = build(stitch, folder, callbacks=False)
    with host(prog, library) as p:
        p.ask('churn')
        with Follower(stitch, p.pid, slp) as follower:
            p.ask('storm')
            wait_for(lambda: int(p.ask('count').split()[0]) >= 30, 'it does not get on', 60)
            p.ask('calm')
            loads, late = map(int, p.ask('count').split())
            need(follower.proc.poll() is None, 'the follower has ended')
            # arm64's kernel may leave a thread's breakpoint off after an event, and then the
            # object is found by looking (docs/porting.md): nobody may die of it.
            late *= os.uname().machine != 'aarch64'
            need(loads >= 30 and late == 0, f'{late} of {loads} times without its patch')


def tracer(p):
    status = open(f'/proc/{p.pid}/status').read()
    return int(status.split('TracerPid:')[1].split()[0])


def test_killed(stitch, folder):
    """The follower dies anywhere; the program goes on, and the next command with it."""
    prog, library, slp = build(stitch, folder)
    for step in ('record-map', 'arena-map', 'callback', 'record-write', 'arm-slot', 'arm-entry',
                 'settle', 'settle-entry', 'dispatch-unmap', 'callback-done', 'restore',
                 'restore-entry', 'unmap', 'unmapped', 'runtime-unmap', 'remote-entered'):
        for reach in (1,) if SLOW else (1, 2, 3):
            with host(prog, library) as p:
                when = f'{step}:kill@{reach}'
                with Follower(stitch, p.pid, slp, fault=when) as f:
                    wait_for(lambda p=p, f=f: tracer(p) or f.proc.poll() is not None,
                             'not begun')
                    time.sleep(0.05)
                    need(p.ask('load') == 'ok', f'{when}: load')
                    need(p.alive(), f'{when}: the program died')
                    p.ask('unload')
                    need(p.alive(), f'{when}: the program died')
                need(p.ask('load') == 'ok', f'{when}: load again')
                done = stitch.run('apply', '-t', PATIENCE, p.pid, slp)
                need(done.returncode == 0 or '[already-applied]' in done.stderr,
                     f'{when}: {done.stderr}')
                p.check(1, when)
                stitch.ok('revert', '-t', PATIENCE, p.pid)
                p.check(0, when)


if __name__ == '__main__':
    sys.exit(run_suite('late', globals()))
