#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Running processes and what must not happen to them: signals, faults, the death
of the tool, busy functions, threads that come and go.
"""
import ctypes
import fcntl
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
from cases import CASES, Case  # noqa: E402
from harness import (CROSS, ONCE, PATIENCE, SLOWER, Failure, Prepared, Program, Skip, Stitch,  # noqa
                     Suite, is_built, kept, need, sh)

HERE = os.path.dirname(os.path.abspath(__file__))
# In an emulated machine: the same tests, fewer times.
SLOW = SLOWER > 1
libc = ctypes.CDLL(None, use_errno=True)


# What makes a rebuild differ from what runs: other code in front, with a function of the
# same name as one of the program's and the same instructions.
EXTRA = '''
static int counter = 77;
static const int table[] = { 30, 10, 40, 10, 50, 90, 20, 60 };
static __attribute__((noipa)) int helper(int x) { counter++; return table[x & 7]; }
int extra(int x);
int extra(int x) { int s = 0; for (int i = 0; i < x; i++) s ^= helper(i) * i; return s; }
'''


def write_fix(folder):
    """fix.patch: from old/case.c to new/case.c."""
    diff = subprocess.run(['diff', '-u', '--label', 'old/case.c', '--label', 'new/case.c',
                           'old/case.c', 'new/case.c'], cwd=folder, capture_output=True,
                          text=True).stdout
    with open(os.path.join(folder, 'fix.patch'), 'w') as f:
        f.write(diff)


def make(stitch, folder, name, flags='-O2 -pthread', edit=None, slp='fix.slp', extra=False,
         how=()):
    """Builds tests/live/NAME.c and its patch; the paths of the program and the patch."""
    work = os.path.join(folder, slp + '.d')
    if is_built():
        return os.path.join(work, 'run', 'prog'), os.path.join(folder, slp)
    case = Case.__new__(Case)
    case.text = open(os.path.join(HERE, 'live', name + '.c')).read()
    shutil.rmtree(work, ignore_errors=True)
    out = {}
    for which in ('old', 'new', 'run'):
        path = os.path.join(work, which)
        os.makedirs(path)
        text = case.version(which == 'new')
        if edit and which == 'new':
            text = edit(text)
        with open(os.path.join(path, 'case.c'), 'w') as f:
            f.write(text)
        with open(os.path.join(path, 'build.sh'), 'w') as f:
            f.write(f'set -e\n{CROSS}gcc {flags} -c case.c -o case.o\n'
                    f'{CROSS}gcc {flags} case.o -o prog\n')
        if extra and which == 'run':
            with open(os.path.join(path, 'extra.c'), 'w') as f:
                f.write(EXTRA)
            with open(os.path.join(path, 'build.sh'), 'w') as f:
                f.write(f'set -e\n{CROSS}gcc {flags} -c case.c extra.c\n'
                        f'{CROSS}gcc {flags} extra.o case.o -o prog\n')
        shutil.copy(os.path.join(CASES, 'live.h'), path)
        out[which] = path
    write_fix(work)
    prog, path = os.path.join(out['run'], 'prog'), os.path.join(folder, slp)

    def build():
        sh('sh', 'build.sh', cwd=out['run'])
        sh(CROSS + 'strip', prog)
        stitch.ok('build', '--source', out['old'], '--patch', os.path.join(work, 'fix.patch'),
                  '--binary', prog, '-o', path, *how, '--', 'sh', 'build.sh', env=ONCE)

    kept(work, (slp, *how), (prog, path), build)
    return prog, path


def there_and_back(stitch, p, slp, times):
    """So many times; where the machine or the tool is slow, a few."""
    for _ in range(min(times, 3) if SLOW or stitch.has_sanitizers else times):
        stitch.ok('apply', '-t', PATIENCE, p.pid, slp)
        p.check(1, 'patched')
        stitch.ok('revert', '-t', PATIENCE, p.pid)
        p.check(0, 'reverted')


def test_lazy(stitch, folder):
    """New code calls what the program has not called yet, by a slot that is not bound."""
    prog, slp = make(stitch, folder, 'lazy', flags='-O2 -pthread -Wl,-z,lazy')
    with Program([prog]) as p:
        there_and_back(stitch, p, slp, 3)


def test_vector(stitch, folder):
    if os.uname().machine == 'x86_64' and ' avx ' not in open('/proc/cpuinfo').read():
        raise Skip('this processor has no AVX')
    prog, slp = make(stitch, folder, 'vector')
    with Program([prog]) as p:
        # A thread that spins has an emulated machine's turns of a tenth of a second.
        there_and_back(stitch, p, slp, 1 if SLOW else 20)


def sival(number):
    """union sigval with an int in it, as it is handed over: in a register's first bytes."""
    return ctypes.c_void_p(number << 32 if sys.byteorder == 'big' else number)


def under_signals(stitch, prog, slp, wanted, rounds_wanted):
    """Queued signals while a patch comes and goes: each arrives, in order."""
    sent = rounds = 0
    with Program([prog]) as p:
        p.check(0)
        while sent < wanted or rounds < rounds_wanted:
            rounds += 1
            for version, verb in ((1, ['apply', str(p.pid), slp]), (0, ['revert', str(p.pid)])):
                worker = subprocess.Popen([stitch.path, *verb, '-t', str(PATIENCE)],
                                          stdout=subprocess.DEVNULL)
                while worker.poll() is None:
                    for _ in range(500):
                        if libc.sigqueue(p.pid, signal.SIGRTMIN + 1, sival(sent)) == 0:
                            sent += 1
                need(worker.returncode == 0, f'{verb[0]} failed under signals')
                p.check(version, verb[0])
        wait_for(lambda: int(p.ask('queued')) >= sent, 'signals are missing')
        need(int(p.ask('queued')) == sent, f'{p.ask("queued")} of {sent} signals arrived')
        need(int(p.ask('alarms')) > 100, 'the timer stands')
        state = process_state(p.pid)
        need(state in 'SR', f'the process is in state {state}')


def test_signals(stitch, folder):
    """A million."""
    prog, slp = make(stitch, folder, 'signals')
    wanted, rounds = 100000 if stitch.has_sanitizers else 1000000, 25
    if SLOW:
        wanted, rounds = (20000, 25) if os.environ.get('VM_FULL') else (5000, 5)
    under_signals(stitch, prog, slp, wanted, rounds)


def test_group_stop(stitch, folder):
    """A stopped process is patched and stays stopped until it is continued."""
    prog, slp = make(stitch, folder, 'busy')
    with Program([prog]) as p:
        p.ask('go')
        os.kill(p.pid, signal.SIGSTOP)
        wait_for(lambda: process_state(p.pid) == 'T', 'it does not stop')
        done = stitch.run('apply', '-t', '1', p.pid, slp)
        time.sleep(0.1)
        state = process_state(p.pid)
        need(state == 'T', f'state {state} after apply, must be T')
        need(done.returncode == 3 and 'it is stopped' in done.stderr, done.stderr)
        os.kill(p.pid, signal.SIGCONT)
        p.check(0, 'continued')


def test_memory_limit(stitch, folder):
    """A process that may not have more memory is told from one that cannot be patched."""
    prog, slp = make(stitch, folder, 'plain')
    with Program([prog]) as p:
        room = status_field(p.pid, 'VmSize') << 10
        old = resource.prlimit(p.pid, resource.RLIMIT_AS, (room, resource.RLIM_INFINITY))
        stitch.refused('memory-limit', 'apply', p.pid, slp, status=4)
        p.check(0, 'refused')
        need(state_of(stitch, p) is None, 'something was left')
        resource.prlimit(p.pid, resource.RLIMIT_AS, old)
        stitch.ok('apply', '-t', PATIENCE, p.pid, slp)
        p.check(1)


def test_churn(stitch, folder):
    prog, slp = make(stitch, folder, 'churn')
    with Program([prog]) as p:
        there_and_back(stitch, p, slp, 15)


def test_busy(stitch, folder):
    prog, slp = make(stitch, folder, 'busy')
    with Program([prog]) as p:
        p.check(0)
        done = stitch.refused('busy', 'apply', '-t', '0.5', p.pid, slp, status=3)
        need('sleeper' in done.stderr and 'slow' in done.stderr and 'frame' in done.stderr,
             f'thread, function and frame must be named: {done.stderr}')
        p.check(0, 'after the refusal')
        need(p.ask('version') == 'old', 'a refused patch is in effect')
        stitch.refused('busy', 'check', '-t', '0', p.pid, slp)
        need(not [x for x in stitch.json('list')['processes'] if x['pid'] == p.pid],
             'a refused patch is listed')
        # Frees the thread now and then: some try will find it outside.
        worker = subprocess.Popen([stitch.path, 'apply', '-t', str(PATIENCE), str(p.pid), slp],
                                  stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            worker.wait(SLOWER)
            raise Failure('applied over a busy function')
        except subprocess.TimeoutExpired:
            pass
        worker.send_signal(signal.SIGINT)
        need(worker.wait(20) == 3, 'Ctrl-C must give up with status 3')
        need(p.ask('version') == 'old', 'an interrupted apply is in effect')


def follow(stitch, *args):
    """A stitch in the background; end() gives its status and what it said."""
    return subprocess.Popen([stitch.path, *map(str, args)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def end(worker, timeout=PATIENCE + 10):
    out, err = worker.communicate(timeout=timeout)
    return worker.returncode, out + err


def read_until(stream, what, times):
    """What a stream says up to the line that has this for so many times, or to its end."""
    said = ''
    for line in stream:
        said += line
        times -= what in line
        if times <= 0:
            break
    return said


def wait_for(what, text, seconds=30):
    stop = time.time() + seconds * SLOWER
    while not what():
        need(time.time() < stop, text)
        time.sleep(0.02)


def process_state(pid):
    """R, S, T and so on."""
    return open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[0]


def state_of(stitch, p):
    patches = stitch.json('list', p.pid)['processes'][0]['patches']
    return patches[-1]['state'] if patches else None


def start_and_kill(prog, is_over):
    """Instances of a program that live for some milliseconds."""
    while not is_over.is_set():
        p = Program([prog])
        time.sleep(0.01)
        p.process.kill()
        p.process.wait()
        p.process.stdin.close()
        p.process.stdout.close()


def test_all(stitch, folder):
    """With --all it is no failure that a process has ended meanwhile, or has the patch."""
    prog, slp = make(stitch, folder, 'plain', slp='many.slp',
                     flags='-O2 -pthread -Wl,--defsym=many=0')
    with Program([prog]) as a, Program([prog]) as b:
        is_over = threading.Event()
        others = [threading.Thread(target=start_and_kill, args=(prog, is_over))
                  for _ in range(6)]
        for t in others:
            t.start()
        try:
            for _ in range(3 if SLOW or stitch.has_sanitizers else 15):
                for args, version in (('apply', '--all', slp), 1), (('revert', '--all', 'many'), 0):
                    done = stitch.run(*args)
                    need(done.returncode == 0 and '[' not in done.stderr, f'{done}')
                    a.check(version)
                    b.check(version)
            for _ in range(5 if SLOW else 20):
                stitch.ok('stack', '--exe', prog)
        finally:
            is_over.set()
            for t in others:
                t.join()
        stitch.ok('apply', a.pid, slp)
        done = stitch.json('apply', '--all', slp)['processes']
        need({x['pid']: (x['result'], x['error']) for x in done} ==
             {a.pid: ('unchanged', None), b.pid: ('applied', None)}, f'{done}')
        said = stitch.ok('apply', '--all', slp).stdout
        need('0 of 2 processes applied, 2 unchanged' in said, said)
        stitch.refused('already-applied', 'apply', a.pid, slp, status=4)
        stitch.refused('no-process', 'revert', '--all', 'other', status=1)
        stitch.refused('no-such-patch', 'revert', '--exe', prog, 'other', status=1)
        stitch.ok('revert', a.pid)
        done = stitch.json('revert', '--exe', prog)['processes']
        need({x['pid']: x['result'] for x in done} ==
             {a.pid: 'unchanged', b.pid: 'reverted'}, f'{done}')


def at_random(stitch, commands, rng, until, wrong):
    """Commands until a time; those that fail for what no other stitch may do to one."""
    usual = {'locked', 'no-such-patch', 'already-applied', 'no-transition', 'cancelled',
             'transition', 'busy', 'unreliable', 'does-not-stop'}
    while time.time() < until:
        done = stitch.run(*rng.choice(commands))
        why = re.search(r'\[([a-z-]+)\]$', done.stderr.strip())
        # Only stack does not take its turn with a transition, which may take long.
        expected = usual | ({'traced'} if done.args[1] == 'stack' else set())
        if done.returncode and done.args[1] != 'status' and (not why or why[1] not in expected):
            wrong.append(f'{done.args[1:]}: status {done.returncode}: {done.stderr.strip()}')


def test_at_once(stitch, folder):
    """Several use the tool on one process: a command waits its turn, or says so."""
    a, b = (make(stitch, folder, 'two', slp=name + '.slp', edit=lambda text, n=n: (
        text.replace('FIX_F', n).replace('FIX_G', '2000')))
            for name, n in (('a', '10'), ('b', '20')))
    with Program([a[0]]) as p:
        commands = [('apply', '-t', '1', p.pid, a[1]), ('apply', '-t', '1', p.pid, b[1]),
                    ('apply', '--no-wait', p.pid, a[1]), ('apply', '--resume', p.pid),
                    ('revert', '-t', '1', p.pid), ('revert', '-t', '1', p.pid, 'a'),
                    ('cancel', p.pid), ('check', p.pid, a[1]), ('status', p.pid),
                    ('list', p.pid), ('stack', p.pid)]
        wrong = []
        users = [threading.Thread(target=at_random, args=(
            stitch, commands, random.Random(n), time.time() + 4 * SLOWER, wrong)) for n in range(5)]
        for user in users:
            user.start()
        for user in users:
            user.join()
        need(not wrong, '\n'.join(wrong[:5]))
        while state_of(stitch, p):
            stitch.ok('revert', '-t', PATIENCE, p.pid)
        need(p.ask('values') == '1 1', 'something is left')


def test_unprivileged(stitch, folder):
    """A user patches what is his own, as far as its files are where they were."""
    prog, slp = make(stitch, folder, 'plain')
    if CROSS:
        raise Prepared()
    if not shutil.which('setpriv'):
        raise Skip('there is no setpriv')
    nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
    os.chmod(folder, 0o755)
    tool, copy = os.path.join(folder, 'stitch'), os.path.join(folder, 'prog')
    shutil.copy(stitch.path, tool)
    shutil.copy(prog, copy)

    def as_nobody(*args):
        return subprocess.run([*nobody, tool, *map(str, args)], capture_output=True, text=True,
                              env=dict(os.environ, ASAN_OPTIONS='detect_leaks=0'))
    with Program([*nobody, copy]) as p:
        for args, version in (('apply', p.pid, slp), 1), (('status', p.pid), 1), (
                ('stack', p.pid), 1), (('revert', p.pid), 0), (('apply', '--all', slp), 1):
            done = as_nobody(*args)
            need(done.returncode == 0, f'{args}: {done.stderr}')
            need(('may not be looked at' in done.stderr) == ('--all' in args),
                 f'{args}: {done.stderr}')
            p.check(version, args[0])
        os.unlink(copy)
        done = as_nobody('revert', p.pid)
        need(done.returncode == 4 and 'CAP_CHECKPOINT_RESTORE' in done.stderr, done.stderr)
        stitch.ok('revert', '-t', PATIENCE, p.pid)
        p.check(0, 'by root')
    with Program([prog]) as p:
        done = as_nobody('apply', p.pid, slp)
        need(done.returncode == 4 and '[not-permitted]' in done.stderr, done.stderr)
        p.check(0, 'of another user')


def test_terminal(stitch, folder):
    """Ctrl-Z does not stop who has threads, the terminal's end takes back, a reader's does not."""
    plain = make(stitch, folder, 'plain', slp='plain.slp')
    prog, slp = make(stitch, folder, 'busy')
    with Program([prog]) as p:
        worker = follow(stitch, 'apply', '-t', PATIENCE, p.pid, slp)
        wait_for(lambda: state_of(stitch, p) == 'enabling', 'not started')
        for sig in (signal.SIGTSTP, signal.SIGTTOU, signal.SIGTTIN):
            worker.send_signal(sig)
        time.sleep(0.2)
        need(process_state(worker.pid) != 'T', 'the tool is stopped')
        worker.send_signal(signal.SIGHUP)
        status, text = end(worker)
        need(status == 3 and '[cancelled]' in text, f'{status}: {text}')
        need(state_of(stitch, p) is None, 'not taken back')
    with Program([plain[0]]) as p:
        for args, version in (('apply', p.pid, plain[1]), 1), (('revert', p.pid), 0):
            worker = follow(stitch, '-v', *args)
            worker.stderr.close()
            worker.stdout.close()
            need(worker.wait(PATIENCE) == 0, f'{args}: ended with {worker.returncode}')
            p.check(version)
        need(state_of(stitch, p) is None, 'not reverted to its end')


def test_leaves_and_comes_back(stitch, folder):
    """The thread goes straight back into the function: it is switched as it returns."""
    prog, slp = make(stitch, folder, 'busy')
    for _ in range(3):
        with Program([prog]) as p:
            worker = follow(stitch, 'apply', '-t', PATIENCE, p.pid, slp)
            wait_for(lambda p=p: state_of(stitch, p) == 'enabling', 'not started')
            time.sleep(0.5)
            need(p.ask('version') == 'new', 'who is outside must have the new version')
            need(worker.poll() is None, 'ended while a thread was in the old function')
            need(p.ask('go') == 'ok', 'go')
            status, text = end(worker, 10)
            need(status == 0, text)
            p.check(1)
            stitch.ok('status', p.pid)


def test_follow(stitch, folder):
    """What runs can be seen, turned back and forced from another shell."""
    prog, slp = make(stitch, folder, 'busy')
    with Program([prog]) as p:
        worker = follow(stitch, 'apply', '-t', PATIENCE, p.pid, slp)
        wait_for(lambda: state_of(stitch, p) == 'enabling', 'not started')
        time.sleep(0.3)
        seen = stitch.json('status', p.pid)['processes'][0]['transition']
        need(seen['target'] == 'patched' and seen['threads'] == 3 and seen['switched'] == 2,
             f'{seen}')
        waiting = seen['waiting']
        need(len(waiting) == 1 and waiting[0]['name'] == 'sleeper' and
             waiting[0]['in'] == 'slow' and waiting[0]['for_ms'] > 100, f'{waiting}')
        stitch.refused('locked', 'apply', p.pid, slp, status=3)
        stitch.ok('cancel', p.pid)
        status, text = end(worker)
        need(status == 3 and '[cancelled]' in text, text)
        need(p.ask('version') == 'old', 'cancelled, and in effect')
        need(state_of(stitch, p) is None, 'cancelled, and there')
        stitch.refused('no-transition', 'cancel', p.pid)


def test_force(stitch, folder):
    """A forced patch is in effect for all, and stays for ever."""
    prog, slp = make(stitch, folder, 'busy')
    with Program([prog]) as p:
        worker = follow(stitch, 'apply', '-t', PATIENCE, p.pid, slp)
        wait_for(lambda: state_of(stitch, p) == 'enabling', 'not started')
        time.sleep(0.2)
        stitch.ok('force', p.pid)
        status, text = end(worker)
        need(status == 0, text)
        need(state_of(stitch, p) == 'applied', 'not applied')
        p.ask('go')
        p.check(1)
        # By now the thread is in the new function.
        worker = follow(stitch, 'revert', '-t', PATIENCE, p.pid)
        wait_for(lambda: state_of(stitch, p) == 'disabling', 'not started')
        stitch.ok('force', p.pid)
        status, text = end(worker)
        need(status == 0, text)
        need('retained' in stitch.ok('status', p.pid).stdout, 'its memory was given back')
        p.ask('go')
        p.check(0)


def test_no_wait(stitch, folder):
    """Started is not finished; a later command goes on, or turns back."""
    prog, slp = make(stitch, folder, 'busy')
    for way in ('resume', 'cancel', 'revert'):
        with Program([prog]) as p:
            done = stitch.json('apply', '--no-wait', p.pid, slp)['processes'][0]
            need(done['result'] == 'started' and done['pending'], f'{done}')
            need(state_of(stitch, p) == 'enabling', 'not enabling')
            need(p.ask('version') == 'new', 'who is outside must have the new version')
            done = stitch.refused('busy', 'apply', '-t', '0.3', '--resume', p.pid, status=3)
            need(state_of(stitch, p) == 'enabling', 'a resume that fails changes nothing')
            p.check(0)
            if way == 'resume':
                p.ask('go')
                # It may be back in slow() before anybody looks: the event is needed.
                worker = follow(stitch, 'apply', '--resume', '-t', PATIENCE, p.pid)
                while worker.poll() is None:
                    time.sleep(0.5)
                    p.ask('go')
                status, text = end(worker)
                need(status == 0 and state_of(stitch, p) == 'applied', text)
            else:
                stitch.ok(way, p.pid)
                need(p.ask('version') == 'old' and state_of(stitch, p) is None, way)


def test_blocked_sees_old(stitch, folder):
    """A thread in the old function has old callees until it returns; others have new."""
    prog, slp = make(stitch, folder, 'forks')
    with Program([prog]) as p:
        stitch.ok('apply', '--no-wait', p.pid, slp)
        switch_who_can(stitch, p)
        done = stitch.refused('busy', 'apply', '--resume', '-t', '0.2', p.pid, status=3)
        need('is in slow' in done.stderr, done.stderr)
        p.check(1, 'the main thread is outside')
        stitch.ok('cancel', p.pid)
        p.check(0, 'turned back')


def test_forks(stitch, folder):
    """Children come to their parent's end."""
    prog, slp = make(stitch, folder, 'forks')
    for way, value in (('go', '1000'), ('cancel', '1')):
        with Program([prog]) as p:
            worker = follow(stitch, 'apply', '-t', PATIENCE, p.pid, slp)
            wait_for(lambda p=p: state_of(stitch, p) == 'enabling', 'not started')
            time.sleep(0.2)
            child = int(p.ask('fork'))
            need(p.ask('child') == '1000', 'a child has its creator\'s state')
            need(stitch.json('list', child)['processes'][0]['patches'][0]['state'] ==
                 'enabling', 'the child has the transition')
            if way == 'go':
                p.ask('go')
            else:
                stitch.ok('cancel', p.pid)
            end(worker)
            need(p.ask('child') == value, f'{way}: the child is behind')
            patches = stitch.json('list', child)['processes'][0]['patches']
            need([x['state'] for x in patches] == (['applied'] if way == 'go' else []),
                 f'{way}: {patches}')
            p.check(1 if way == 'go' else 0)
            need(p.ask('end') == 'ok', 'the child has died')


def wait_until_waiting(stitch, p):
    """The one that follows a transition says so when it has looked at all threads once."""
    wait_for(lambda: (stitch.json('status', p.pid)['processes'][0]['transition'] or
                      {}).get('waiting'), 'status must say what is waited for')


def test_suspended(stitch, folder):
    """A stack that no thread is on is found, waited for, and named; a jmp_buf is, too."""
    prog, slp = make(stitch, folder, 'coroutine')
    with Program([prog]) as p:
        if os.uname().machine == 'x86_64':   # elsewhere it is not known how they are mangled
            need(p.ask('keep') == 'ok', 'keep')
            done = stitch.refused('suspended', 'apply', '-t', '0.5', p.pid, slp, status=3)
            need('second' in done.stderr, done.stderr)
            need(p.ask('forget') == 'ok', 'forget')
        need(p.ask('begin') == 'ok', 'begin')
        done = stitch.refused('suspended', 'apply', '-t', '0.5', p.pid, slp, status=3)
        need('both' in done.stderr, done.stderr)
        p.check(0, 'after the refusal')
        worker = follow(stitch, 'apply', '-t', PATIENCE, p.pid, slp)
        wait_for(lambda: state_of(stitch, p) == 'enabling', 'not started')
        wait_until_waiting(stitch, p)
        need(p.ask('end') == '1 7', 'a mix of versions')
        status, text = end(worker)
        need(status == 0, text)
        p.check(1)
        need(p.ask('begin') == 'ok', 'begin')
        stitch.refused('suspended', 'revert', '-t', '0.5', p.pid, status=3)
        p.check(1, 'not reverted')
        need(p.ask('end') == '1 7', 'a mix of versions')
        stitch.ok('revert', '-t', PATIENCE, p.pid)
        p.check(0)
        need(state_of(stitch, p) is None, 'left in memory')


def status_field(pid, name):
    """A line of /proc/PID/status, in its own unit."""
    with open(f'/proc/{pid}/status') as f:
        return int(re.search(rf'^{name}:\s*(\d+)', f.read(), re.M).group(1))


def test_suspended_hold(stitch, folder):
    """
    All threads are held for a look at suspended stacks: hardly ever for one that is in the
    way for long, not without those that were mapped meanwhile, and not for what nobody uses.
    """
    prog, slp = make(stitch, folder, 'coroutine')
    with Program([prog]) as p:
        need(p.ask('fill') == 'ok', 'fill')
        before = status_field(p.pid, 'VmPTE')
        need(p.ask('begin') == 'ok', 'begin')
        # So many looks, however long one takes here: a machine beside others is slow at times.
        worker = follow(stitch, '-v', 'apply', '-t', PATIENCE, p.pid, slp)
        said = read_until(worker.stderr, 'suspended stack at=', 6)
        worker.send_signal(signal.SIGINT)
        need(end(worker)[0] != 0 and state_of(stitch, p) is None, said)
        # Some ports hold all threads to change entries, too.
        tries = said.partition('switches stacks')[2]
        found, held = tries.count('suspended stack at='), tries.count('stopped threads=')
        need(found > 4 and 1 <= held <= 1 + found / 4,
             f'{found} times found, {held} times held: {said[-300:]}')
        need(status_field(p.pid, 'VmPTE') < before + 1000, 'memory that nobody used was read')
        need(p.ask('end') == '1 7', 'a mix of versions')
        worker = apply_up_to(stitch, p, slp, 'hold')
        need(p.ask('begin') == 'ok', 'begin')
        worker.send_signal(signal.SIGCONT)
        wait_until_waiting(stitch, p)
        need(p.ask('end') == '1 7', 'a mix of versions')
        _, text = worker.communicate(timeout=PATIENCE)
        need(worker.returncode == 0, text)
        p.check(1)


def mapping_of(pid, address):
    """The line of /proc/PID/maps."""
    for line in open(f'/proc/{pid}/maps'):
        start, stop = (int(x, 16) for x in line.split()[0].split('-'))
        if start <= address < stop:
            return line
    raise Failure(f'{address:#x} is not mapped')


def test_suspended_above(stitch, folder):
    """A thread's own stack is not looked through; what is mapped right above it is."""
    prog, slp = make(stitch, folder, 'coroutine')
    with Program([prog]) as p:
        theirs, stack = (mapping_of(p.pid, int(x, 16)) for x in p.ask('below').split())
        need(theirs == stack, f'apart: {theirs}, {stack}')
        need(p.ask('begin') == 'ok', 'begin')
        stitch.refused('suspended', 'apply', '-t', '0.5', p.pid, slp, status=3)
        need(p.ask('end') == '1 7', 'a mix of versions')
        stitch.ok('apply', p.pid, slp)
        p.check(1)


def test_tear(stitch, folder):
    """What arming rests on: one store of a word is one store."""
    tool = os.path.join(os.path.dirname(stitch.path), '..', 'tests', 'tear')
    done = subprocess.run([tool, str(1000000 * STRESS)], capture_output=True, text=True,
                          timeout=600)
    need(done.returncode == 0, done.stdout + done.stderr)


def lines_of(done):
    """The events whose order is a contract, without what differs from run to run."""
    skip = ('checked', 'resumed', 'stopped', 'seized', 'born', 'mapped record', 'holding',
            'leaving')
    rows = [x[len('stitch: '):] for x in done.stderr.splitlines() if x.startswith('stitch: ')]
    return [re.sub(r' size=.*| functions=.*', '', x) for x in rows if not x.startswith(skip)]


def enabling(name):
    return [f'recorded patch={name} state=loading', f'mapped patch={name}',
            f'recorded patch={name} state=enabling', f'armed patch={name}',
            f'switching patch={name} to=patched']


def applying(name, superseded=()):
    return enabling(name) + [f'switched patch={name}'] + [
        f'superseded patch={old} by={name}' for old in superseded] + [
        f'recorded patch={name} state=applied', f'settled patch={name}',
        f'returned dispatcher patch={name}']


def leaving(name):
    return [f'armed patch={name}', f'switching patch={name} to=unpatched',
            f'switched back patch={name}', f'recorded patch={name} state=restoring',
            f'restored patch={name}', f'recorded patch={name} state=unloading',
            f'unmapped patch={name}', f'forgotten patch={name}']


def test_order(stitch, folder):
    """The kernel's livepatch selftests 1 to 3, by the order of events."""
    prog, a = two(stitch, folder, 'a', 10, 1)
    _, b = two(stitch, folder, 'b', 1, 20)
    _, last = two(stitch, folder, 'last', 7, 1, how=['--replace'])
    with Program([prog]) as p:
        def run(*args):
            return lines_of(stitch.ok('-v', *args))
        for slp, name in ((a, 'a'), (b, 'b')):
            seen = run('apply', p.pid, slp)
            need(seen == applying(name), f'{seen}')
        seen = run('revert', p.pid, 'a')
        need(seen == ['recorded patch=a state=disabling', *leaving('a')], f'{seen}')
        stitch.ok('apply', p.pid, a)
        seen = run('apply', p.pid, last)
        gone = [x for name in ('b', 'a') for x in (
            f'restored patch={name}', f'recorded patch={name} state=unloading',
            f'unmapped patch={name}', f'forgotten patch={name}')]
        need(seen == applying('last', ('b', 'a')) + gone, f'{seen}')


def test_order_busy(stitch, folder):
    """Selftest 14: a busy target, reversed."""
    prog, slp = make(stitch, folder, 'busy')
    with Program([prog]) as p:
        done = stitch.run('-v', 'apply', '-t', '0.2', p.pid, slp)
        need(lines_of(done)[:-1] == enabling('fix') + ['undoing patch=fix',
             'recorded patch=fix state=disabling', *leaving('fix')], done.stderr)


def switch_who_can(stitch, p):
    """On a busy machine --no-wait may come before a thread has had the processor to stop."""
    def all_but_waiting():
        now = (stitch.json('status', p.pid)['processes'][0]['transition'] or {})
        return now and now['switched'] + len(now['waiting']) == now['threads']

    worker = follow(stitch, 'apply', '--resume', '-t', PATIENCE, p.pid)
    wait_for(all_but_waiting, 'some thread is neither switched nor waited for')
    worker.send_signal(signal.SIGKILL)
    end(worker)


def let_go(p, worker):
    """The thread inside is let on until it was told what to do when it leaves, and worker ends."""
    until = time.time() + PATIENCE
    while worker.poll() is None and time.time() < until:
        time.sleep(0.3)
        p.ask('go')
    need(end(worker)[0] == 0, 'the thread was let go, and has not been switched')


def test_callers(stitch, folder):
    """Callers keep all that they may keep: through the dispatcher, settled, and back."""
    prog, slp = make(stitch, folder, 'callers')
    with Program([prog]) as p:
        p.check(0)
        stitch.ok('apply', '--no-wait', p.pid, slp)
        need(state_of(stitch, p) == 'enabling', 'the transition is not held open')
        switch_who_can(stitch, p)
        p.check(1, 'dispatched to the new functions')
        stitch.ok('cancel', p.pid)
        p.check(0, 'cancelled')
        worker = follow(stitch, 'apply', '-t', PATIENCE, p.pid, slp)
        wait_for(lambda: state_of(stitch, p) == 'enabling', 'not started')
        let_go(p, worker)
        p.check(1, 'settled')
        # The thread is in the new function now: this one, too, is held open.
        stitch.ok('revert', '--no-wait', p.pid)
        need(state_of(stitch, p) == 'disabling', 'the transition is not held open')
        switch_who_can(stitch, p)
        p.check(0, 'dispatched to the old functions')
        stitch.ok('cancel', p.pid)
        p.check(1, 'enabled again')


def through_frames(stitch, folder, flags='', slp='fix.slp'):
    prog, slp = make(stitch, folder, 'frames', flags='-O2 -pthread -fexceptions' + flags, slp=slp)
    if CROSS:
        return
    with Program([prog]) as p:
        stitch.ok('apply', '--no-wait', p.pid, slp)
        need(state_of(stitch, p) == 'enabling', 'the transition is not held open')
        switch_who_can(stitch, p)
        p.check(1, 'dispatched to the new functions')
        found = p.ask('unwind')
        need(found == 'lost 0 (at 0), elsewhere often', f'to the new functions: {found}')
        stitch.ok('cancel', p.pid)
        worker = follow(stitch, 'apply', '-t', PATIENCE, p.pid, slp)
        wait_for(lambda: state_of(stitch, p) == 'enabling', 'not started')
        let_go(p, worker)
        stitch.ok('revert', '--no-wait', p.pid)
        switch_who_can(stitch, p)
        p.check(0, 'dispatched to the old functions')
        found = p.ask('unwind')
        need(found == 'lost 0 (at 0), elsewhere often', f'to the old functions: {found}')


def test_frames(stitch, folder):
    """The process's own unwinder comes through gates, the dispatcher and displaced copies."""
    through_frames(stitch, folder)
    if CROSS:
        raise Prepared()


def test_handler_under_the_jump(stitch, folder):
    """A thread that ends in a function's displaced call finds what that has to do for it."""
    prog, slp = make(stitch, folder, 'handler', flags='-Os -pthread -fexceptions')
    with Program([prog]) as p:
        need(p.ask('end') == 'cleaned 1', 'before')
        worker = follow(stitch, 'apply', '-t', PATIENCE, p.pid, slp)
        wait_for(lambda: state_of(stitch, p) == 'enabling', 'not started')
        let_go(p, worker)
        need(p.ask('end') == 'cleaned 1', 'in the new function')
        stitch.ok('revert', '--no-wait', p.pid)
        switch_who_can(stitch, p)
        p.check(0, 'dispatched to the old functions')
        need(p.ask('end') == 'cleaned 1', 'in the old function, by its copy')


def test_frames_signed(stitch, folder):
    """The same where some functions have signed their return address, and some have not."""
    if not (CROSS or os.uname().machine).startswith('aarch64'):
        raise Skip('branch protection is arm64\'s')
    for key in ('standard', 'bti+pac-ret+b-key'):
        through_frames(stitch, folder, f' -mbranch-protection={key}', key + '.slp')
    if CROSS:
        raise Prepared()


def test_cancelled_thread(stitch, folder):
    """A thread is cancelled in new code, which has a handler of its own: libgcc was told."""
    prog, slp = make(stitch, folder, '../cases/cancel', flags='-O2 -pthread -fexceptions')
    with Program([prog]) as p:
        p.check(0)
        there_and_back(stitch, p, slp, 2 if SLOW else 10)


def make_toc(stitch, folder):
    """tests/live/toc: a library whose patched functions need what the old ones did not."""
    work = os.path.join(folder, 'fix.slp.d')
    prog, slp = os.path.join(work, 'run', 'prog'), os.path.join(folder, 'fix.slp')
    if is_built():
        return prog, slp
    case = Case.__new__(Case)
    case.text = open(os.path.join(HERE, 'live', 'toc', 'lib.c')).read()
    for which in ('old', 'new', 'run'):
        path = os.path.join(work, which)
        os.makedirs(path)
        with open(os.path.join(path, 'case.c'), 'w') as f:
            f.write(case.version(which == 'new'))
        with open(os.path.join(path, 'build.sh'), 'w') as f:
            f.write(f'set -e\n{CROSS}gcc -O2 -fPIC -c case.c -o case.o\n'
                    f'{CROSS}gcc -shared case.o -o libtoc.so\n')
    write_fix(work)
    run = os.path.join(work, 'run')
    sh('sh', 'build.sh', cwd=run)
    sh(CROSS + 'gcc', '-O2', '-pthread', '-I', CASES, os.path.join(HERE, 'live', 'toc', 'main.c'),
       '-L', run, '-ltoc', '-Wl,-rpath,$ORIGIN', '-o', prog)
    library = os.path.join(run, 'libtoc.so')
    sh(CROSS + 'strip', library)
    stitch.ok('build', '--source', os.path.join(work, 'old'), '--patch',
              os.path.join(work, 'fix.patch'), '--binary', library, '-o', slp, '--', 'sh',
              'build.sh')
    return prog, slp


TWO = {'two': f'''{CROSS}gcc -O2 -fexceptions -pthread -c main.c
{CROSS}gcc -shared lib.o -o bin/libone.so
{CROSS}gcc -pthread main.o -Lbin -lone -Wl,-rpath,'$ORIGIN' -o bin/prog
''', 'libraries': f'''{CROSS}gcc -O2 -fPIC -pthread -c main.c
{CROSS}gcc -shared lib.o -o bin/libone.so
{CROSS}gcc -shared main.o -Lbin -lone -Wl,-rpath,'$ORIGIN' -o bin/libtwo.so
{CROSS}gcc -x c /dev/null -pthread -Lbin -ltwo -lone -Wl,-rpath,'$ORIGIN' -o bin/prog
'''}
LATE = f'''{CROSS}gcc -O2 -pthread -c main.c
{CROSS}gcc -shared lib.o -o bin/libone.so
{CROSS}gcc -pthread main.o -o bin/prog
'''


def build_two(work, link, name='two_objects'):
    """A program, or a library, and a library, of one source."""
    case = Case.__new__(Case)
    case.text = open(os.path.join(HERE, 'live', name + '.c')).read()
    for which in ('old', 'new', 'run'):
        path = os.path.join(work, which)
        os.makedirs(os.path.join(path, 'bin'))
        with open(os.path.join(path, 'case.c'), 'w') as f:
            f.write(case.version(which == 'new'))
        for name, text in (('lib.c', '#define LIBRARY\n'), ('main.c', '')):
            with open(os.path.join(path, name), 'w') as f:
                f.write(text + '#include "case.c"\n')
        shutil.copy(os.path.join(CASES, 'live.h'), path)
        with open(os.path.join(path, 'build.sh'), 'w') as f:
            f.write(f'set -e\n{CROSS}gcc -O2 -fexceptions -fPIC -c lib.c\n' + link)
    write_fix(work)
    sh('sh', 'build.sh', cwd=os.path.join(work, 'run'))
    for name in os.listdir(os.path.join(work, 'run', 'bin')):
        sh(CROSS + 'strip', os.path.join(work, 'run', 'bin', name))


def two_args(work, slp):
    return ['build', '--source', os.path.join(work, 'old'), '--patch',
            os.path.join(work, 'fix.patch'), '--binary', os.path.join(work, 'run', 'bin'),
            '-o', slp]


def test_two_objects(stitch, folder):
    """A fix that is in a program and in its library: a patch for each."""
    work = os.path.join(folder, 'fix.slp.d')
    prog = os.path.join(work, 'run', 'bin', 'prog')
    slps = [os.path.join(folder, name) for name in ('fix.slp', 'fix.libone.so.slp')]
    if not is_built():
        build_two(work, TWO['two'])
        out = stitch.json(*two_args(work, slps[0]), '--', 'sh', 'build.sh')
        made = [out] + out.get('others', [])
        if made[0]['object'] != 'prog':
            slps = [os.path.join(folder, 'fix.prog.slp'), slps[0]]
        need(sorted(m['object'] for m in made) == ['libone.so', 'prog'], f'{out}')
    else:
        slps = [os.path.join(folder, f) for f in sorted(os.listdir(folder)) if f.endswith('.slp')]
    with Program([prog]) as p:
        p.check(0)
        for slp in slps:
            stitch.ok('apply', p.pid, slp)
        p.check(1)
        stitch.ok('revert', p.pid)
        stitch.ok('revert', p.pid)
        p.check(0)


def both(stitch, folder, link, name='two_objects'):
    """One patch of two objects."""
    work = os.path.join(folder, link + '.d')
    prog = os.path.join(work, 'run', 'bin', 'prog')
    slp = os.path.join(folder, link + '.slp')
    if not is_built():
        shutil.rmtree(work, ignore_errors=True)
        build_two(work, TWO.get(link, LATE), name)
        out = stitch.json(*two_args(work, slp), '--together', '--', 'sh', 'build.sh')
        need('others' not in out, f'{out}')
        shown = stitch.json('show', slp)
        need(sorted((o['name'], len(o['functions'])) for o in shown['objects']) ==
             [('libone.so', 1), ('libtwo.so' if link == 'libraries' else 'prog', 1)],
             f'{shown["objects"]}')
    return prog, slp


def test_together(stitch, folder):
    """
    A fix that is in a program and in its library, or in two libraries, in one patch: they are
    switched at once, although the program is further from the library than a jump reaches.
    """
    for prog, slp in [both(stitch, folder, link) for link in TWO]:
        with Program([prog]) as p:
            p.check(0)
            for _ in range(3):
                stitch.ok('apply', '-t', PATIENCE, p.pid, slp)
                p.check(1)
                stitch.ok('status', p.pid)
                stitch.ok('revert', '-t', PATIENCE, p.pid)
                p.check(0)


def test_together_unwound(stitch, folder):
    """A stack is unwound through both objects' new code, by the process's own unwinder."""
    prog, slp = both(stitch, folder, 'two', 'unwound')
    with Program([prog]) as p:
        p.check(0)
        there_and_back(stitch, p, slp, 3)


def test_together_added(stitch, folder):
    """What one object's new code uses of another is there only with the patch."""
    prog, slp = both(stitch, folder, 'two', 'added_export')
    with Program([prog]) as p:
        p.check(0)
        stitch.ok('apply', '-t', PATIENCE, p.pid, slp)
        p.check(1)
        # The new function's address has been given on: its memory stays.
        stitch.ok('revert', '-t', PATIENCE, p.pid)
        p.check(0)


def test_together_fault(stitch, folder):
    """Dying amid a patch of two objects, whose memory is in two places."""
    prog, slp = both(stitch, folder, 'two', 'unwound')
    for step in ('arena-map', 'arena-mapped', 'arena-write', 'arm-eh', 'record-write', 'arm-slot',
                 'settle', 'disarm-eh', 'unmap', 'unmapped')[::3 if SLOW or stitch.has_sanitizers else 1]:
        for action in ('kill', 'fail'):
            fault_twice(stitch, prog, slp, f'{step}:{action}@1', action)


def test_tls(stitch, folder):
    """Thread-local variables of a library, reached in the way that its compiler chooses."""
    work = os.path.join(folder, 'fix.slp.d')
    prog = os.path.join(work, 'run', 'bin', 'prog')
    slp = os.path.join(folder, 'fix.slp')
    if not is_built():
        build_two(work, TWO['two'], 'tls')
        stitch.ok(*two_args(work, slp), '--', 'sh', 'build.sh')
    with Program([prog]) as p:
        p.check(0, 'before')
        if os.uname().machine == 'ppc64le':
            stitch.refused('tls-unknown', 'apply', p.pid, slp)
            p.check(0, 'refused')
            return
        there_and_back(stitch, p, slp, 3)


def test_toc(stitch, folder):
    """New code finds its object's table whoever calls it, and leaves its callers theirs."""
    prog, slp = make_toc(stitch, folder)
    with Program([prog]) as p:
        p.check(0)
        there_and_back(stitch, p, slp, 2 if SLOW else 20)


def two(stitch, folder, name, f, g, how=()):
    """A patch of tests/live/two.c: what f() and g() add; 1 leaves one as it is."""
    return make(stitch, folder, 'two', slp=name + '.slp', how=how,
                edit=lambda t: t.replace('FIX_F', str(f)).replace('FIX_G', str(g)))


def test_replace(stitch, folder):
    """Atomic replace: one patch is left, and what it lacks is the original's again."""
    prog, a = two(stitch, folder, 'a', 10, 1)
    _, b = two(stitch, folder, 'b', 1, 20)
    _, c = two(stitch, folder, 'c', 100, 200)
    _, last = two(stitch, folder, 'last', 7, 1, how=['--replace'])
    need(stitch.json('show', last)['replace'] is True, 'show must say so')
    with Program([prog]) as p:
        before = len(open(f'/proc/{p.pid}/maps').readlines())
        for _ in range(3):
            stitch.ok('apply', p.pid, a)
            said = stitch.ok('apply', p.pid, b).stdout
            need('note:' not in said, said)
            need(p.ask('values') == '10 20', p.ask('values'))
            # What a patch takes over from another is said, before and when it does.
            done = stitch.run('check', '--json', p.pid, c)   # they may be busy
            covers = json.loads(done.stdout)['processes'][0]['covers']
            of = {'a': 'f', 'b': 'g'}[covers['patch']]
            need(covers['functions'] == 2 and covers['function'] == of, done.stdout)
            said = stitch.ok('apply', p.pid, c).stdout
            need(f'note: patch {covers["patch"]} replaces {of} and others, too' in said, said)
            need(p.ask('values') == '100 200', p.ask('values'))
            said = stitch.ok('apply', p.pid, last).stdout
            need('note:' not in said, said)
            need(p.ask('values') == '7 1', p.ask('values'))
            names = [x['name'] for x in stitch.json('list', p.pid)['processes'][0]['patches']]
            need(names == ['last'], f'{names}')
            stitch.ok('status', p.pid)
            stitch.ok('revert', p.pid)
            need(p.ask('values') == '1 1', p.ask('values'))
            after = open(f'/proc/{p.pid}/maps').read()
            need(len(after.splitlines()) == before, f'memory is left: {after}')


def test_replace_and_stay(stitch, folder):
    """A replacing patch that cannot leave is enabled again: what came after it stays."""
    prog, first = make(stitch, folder, 'forks', how=['--replace'])
    _, above = make(stitch, folder, 'forks', slp='above.slp', edit=lambda t: t.replace(
        'x + y * 100', 'x + y').replace('x + 1000', 'x + 7000'))
    with Program([prog]) as p:
        worker = follow(stitch, 'apply', '-t', PATIENCE, p.pid, first)
        wait_for(lambda: state_of(stitch, p) == 'enabling', 'not started')
        time.sleep(0.2)
        p.ask('go')
        status, text = end(worker)
        need(status == 0, text)
        stitch.ok('apply', p.pid, above)
        # The thread is in the first one's slow() by now.
        time.sleep(0.1)
        stitch.refused('busy', 'revert', '-t', '0.3', p.pid, 'fix', status=3)
        patches = stitch.json('list', p.pid)['processes'][0]['patches']
        need([(x['name'], x['state']) for x in patches] ==
             [('fix', 'applied'), ('above', 'applied')], f'{patches}')
        stitch.ok('status', p.pid)
        stitch.ok('revert', p.pid)
        p.check(1, 'the first one is in effect')


def test_disable_in_any_order(stitch, folder):
    prog, a = two(stitch, folder, 'a', 10, 1)
    _, b = two(stitch, folder, 'b', 20, 20)
    _, c = two(stitch, folder, 'c', 1, 30)
    with Program([prog]) as p:
        for order, seen in (('abc', ('20 30', '1 30', '1 1')), ('bca', ('10 30', '10 1', '1 1')),
                            ('cab', ('20 20', '20 20', '1 1'))):
            for slp in (a, b, c):
                stitch.ok('apply', p.pid, slp)
            need(p.ask('values') == '20 30', p.ask('values'))
            for name, values in zip(order, seen):
                stitch.ok('revert', p.pid, name)
                need(p.ask('values') == values, f'{order} {name}: {p.ask("values")}')
                stitch.ok('status', p.pid)


def revert_with_fault(stitch, p, name, fault):
    """Killed on its way, if there is a fault; what that leaves is ended by another."""
    if fault:
        stitch.run('revert', '-t', PATIENCE, p.pid, name, fault=fault)
    if not fault or any(x['name'] == name for q in stitch.json('list', p.pid)['processes']
                        for x in q['patches']):
        stitch.ok('revert', '-t', PATIENCE, p.pid, name)


def test_entered_below(stitch, folder):
    """The original runs again under a newer patch's jump, and its loop leads into those bytes."""
    if 's390x' in (CROSS or os.uname().machine):
        raise Skip('there such an entry is refused')
    prog, a = make(stitch, folder, 'looping', flags='-Os -pthread', slp='a.slp')
    _, b = make(stitch, folder, 'looping', flags='-Os -pthread', slp='b.slp',
                edit=lambda text: text.replace('\t10\n', '\t100\n'))
    kills = () if SLOW or stitch.has_sanitizers else (
        'record-write:kill', 'record-write:kill@2', 'record-write:kill@3', 'unmap:kill',
        'unmapped:kill')
    with Program([prog]) as p:
        for order, seen, fault in (('ab', '100 runs', None), ('ba', '10 runs', None),
                                   *(('ab', '100 runs', kill) for kill in kills)):
            for slp, value in ((a, '10 runs'), (b, '100 runs')):
                stitch.ok('apply', '-t', PATIENCE, p.pid, slp)
                need(p.ask('value') == value, p.ask('value'))
            for name, value in zip(order, (seen, '1 runs')):
                revert_with_fault(stitch, p, name, fault)
                need(p.ask('value') == value, p.ask('value') or p.death())
            p.check(0)


def one_action(stitch, number):
    """What is asked of the sanitizers is the tool's memory: one of the two at each step."""
    return ('fail', 'kill')[number % 2::2] if stitch.has_sanitizers else ('fail', 'kill')


def test_fault_replace(stitch, folder):
    """Whatever a replacing patch's fault leaves, the next command ends it."""
    prog, a = two(stitch, folder, 'a', 10, 10)
    _, last = two(stitch, folder, 'last', 7, 1, how=['--replace'])
    for n, step in enumerate(('arm-slot', 'switch', 'settle', 'record-write', 'settle-nop',
                              'settle-slot', 'settle-entry', 'dispatch-unmap', 'restore-entry',
                              'unmap', 'unmapped')):
        for reach in (1,) if SLOW or stitch.has_sanitizers else (1, 2, 3):
            for action in one_action(stitch, n):
                with Program([prog]) as p:
                    stitch.ok('apply', p.pid, a)
                    done = stitch.run('apply', p.pid, last, fault=f'{step}:{action}@{reach}')
                    values = p.ask('values')
                    need(values in ('10 10', '7 1'), f'{step} {action}: {values}')
                    again = stitch.run('apply', '-t', PATIENCE, p.pid, last)
                    need(again.returncode == 0 or '[already-applied]' in again.stderr,
                         f'{step} {action}: {done.stderr} {again.stderr}')
                    need(p.ask('values') == '7 1', f'{step} {action}: {p.ask("values")}')
                    stitch.ok('revert', '-t', PATIENCE, p.pid, 'last')
                    need(p.ask('values') == '1 1', f'{step} {action}: {p.ask("values")}')


def test_vfork(stitch, folder):
    """Of a thread that vforks without pause."""
    prog, slp = make(stitch, folder, 'plain_vfork')
    with Program([prog]) as p:
        for v in (1, 0) * (2 if SLOW else 5):
            stitch.ok(*(('apply', '-t', PATIENCE, p.pid, slp) if v else ('revert', '-t', PATIENCE, p.pid)))
            p.check(v)


def go_until_end(p, worker):
    """Lets the thread in slow() on, now and then."""
    while worker.poll() is None:
        need(p.ask('go') == 'ok', 'go')
        time.sleep(0.1)


def test_vfork_waits(stitch, folder):
    """
    The parent of a vfork stands from when that is told of: it is switched, and held, with its
    child, which lives on.  One that was in it before is waited for.
    """
    prog, slp = make(stitch, folder, 'vfork_waits')
    prog, quick = make(stitch, folder, 'vfork_waits', slp='quick.slp',
                       edit=lambda text: text.replace('y * 100', 'y'))
    with Program([prog]) as p:
        need(p.ask('vfork') == 'ok', 'no vfork')
        done = stitch.refused('does-not-stop', 'apply', '-t', '0.5', p.pid, quick, status=3)
        need('parent of a vfork' in done.stderr, done.stderr)
        need(p.ask('end') == '1 1', 'not as it was')
        p.check(0, 'turned back')
        stitch.ok('apply', '-t', PATIENCE, p.pid, quick)
        p.check(1, 'afterwards')
    for way, value in (('go', 1000), ('cancel', 1)):
        with Program([prog]) as p:
            worker = follow(stitch, 'apply', '-t', PATIENCE, p.pid, slp)
            wait_for(lambda p=p: state_of(stitch, p) == 'enabling', 'not started')
            wait_until_waiting(stitch, p)
            need(p.ask('vfork') == 'ok', 'no vfork')
            if way == 'go':
                go_until_end(p, worker)
            else:
                stitch.ok('cancel', p.pid)
            status, text = end(worker)
            need((status == 0) == (way == 'go') and p.ask('waits') == 'ok', f'{way}: {text}')
            p.check(int(way == 'go'), way)
            if way == 'go':
                done = stitch.run('-v', 'revert', '-t', '0.5', p.pid)
                need(done.returncode == 3 and 'child pid=' not in done.stderr,
                     done.stderr[-500:])
                p.check(1, 'not reverted')
            need(p.ask('end') == f'{value} {value}', 'not at the end of its process')
            if way == 'go':
                worker = follow(stitch, 'revert', '-t', PATIENCE, p.pid)
                wait_for(lambda p=p: state_of(stitch, p) == 'disabling', 'not started')
                wait_until_waiting(stitch, p)
                go_until_end(p, worker)
                need(end(worker)[0] == 0, 'not reverted')
                p.check(0, 'reverted')


def test_spawner(stitch, folder):
    """Threads start programs without pause: none of the children is in a command's way."""
    prog, slp = make(stitch, folder, 'spawner')
    with Program([prog]) as p:
        there_and_back(stitch, p, slp, 100)
        need(min(int(x) for x in p.ask('count').split()) > 0, 'not every way was gone')


def test_vfork_before(stitch, folder):
    """The thread that would be borrowed first cannot be stopped: another is, and it gets on."""
    prog, slp = make(stitch, folder, 'vfork_waits')
    with Program([prog]) as p:
        for _ in range(9):   # the one that vforks has run least then
            need(p.ask('go') == 'ok', 'go')
            time.sleep(0.02)
        need(p.ask('vfork') == 'ok', 'no vfork')
        worker = follow(stitch, 'apply', '-t', PATIENCE, p.pid, slp)
        wait_for(lambda: state_of(stitch, p) == 'enabling', 'not started')
        wait_until_waiting(stitch, p)
        need(p.ask('end') in ('1 1', '1 1000'), 'it does not go on')
        go_until_end(p, worker)
        need(end(worker)[0] == 0, 'not applied')
        p.check(1)


def test_left(stitch, folder):
    """Forced back with a thread that does not stop: what is left is said, and finished later."""
    if os.uname().machine != 'x86_64' and not CROSS:
        raise Skip('entries are changed here while all threads are held, and it is waited for that')
    prog, slp = make(stitch, folder, 'vfork_waits', edit=lambda text: text.replace('y * 100', 'y'))
    with Program([prog]) as p:
        stitch.ok('apply', '-t', PATIENCE, p.pid, slp)
        need(p.ask('vfork') == 'ok', 'no vfork')
        worker = follow(stitch, '--json', 'revert', '-t', PATIENCE, p.pid)
        wait_for(lambda: state_of(stitch, p) == 'disabling', 'not started')
        stitch.ok('force', p.pid)
        out, _ = worker.communicate(timeout=2 * PATIENCE)
        done = json.loads(out)['processes'][0]
        need(done['left'] and not done['retained'], f'{done}')
        need(state_of(stitch, p) == 'restoring' and p.ask('end') == '1 1', 'in the new version')
        done = stitch.json('apply', '--resume', '-t', PATIENCE, p.pid)['processes'][0]
        need(done['retained'] and not done['left'], f'{done}')
        p.check(0)


def test_asleep(stitch, folder):
    """Threads that sleep: none is stopped but the one that is borrowed, no call is cut short."""
    prog, slp = make(stitch, folder, 'eintr')
    if os.uname().machine != 'x86_64':
        raise Skip('entries are changed here while all threads are held, each stopped for it')
    with Program([prog]) as p:
        time.sleep(0.3)
        for verb in (['apply', p.pid, slp], ['revert', p.pid]):
            done = stitch.json(*verb)['processes'][0]
            need(done['threads'] == 7 and done['looks'] >= 3 * 6 and done['stops'] <= 2,
                 f'threads that slept were stopped: {done}')


def storm(stitch, folder, times, flags='-O2 -pthread', before=(), **env):
    """before: what runs the tool."""
    prog, slp = make(stitch, folder, 'storm', flags=flags)
    tool = os.path.join(os.path.dirname(stitch.path), '..', 'tests', 'cycle')
    with Program([prog], env=dict(os.environ, **env)) as p:
        done = subprocess.run([*before, tool, str(p.pid), slp, str(times)],
                              capture_output=True, text=True, timeout=3000 + 10 * times,
                              env=dict(os.environ, ASAN_OPTIONS='detect_leaks=0'))
        need(done.returncode == 0, f'{done.stdout}{done.stderr}the program: {p.death()}')
        p.check(0, 'after the storm')


# 100,000 cycles are for a night (STRESS=6700); of storm_resting for an hour or two.
STRESS = int(os.environ.get('STRESS', '1'))


def cycles(stitch, few):
    return (few // 3 if SLOW or stitch.has_sanitizers else few) * STRESS


def test_storm_few(stitch, folder):
    storm(stitch, folder, 1000 if os.environ.get('VM_FULL') else cycles(stitch, 15),
          STORM_THREADS='2')


def test_storm_many(stitch, folder):
    storm(stitch, folder, cycles(stitch, 3), STORM_THREADS='16' if SLOW else '64')


def test_storm_resting(stitch, folder):
    """64 threads that call in bursts: a cycle takes some tens of milliseconds."""
    storm(stitch, folder, cycles(stitch, 15), STORM_THREADS='1',
          STORM_RESTING='9' if SLOW else '63')


def test_storm_timer(stitch, folder):
    storm(stitch, folder, cycles(stitch, 15), STORM_THREADS='2', STORM_TIMER='1')


def test_storm_asleep(stitch, folder):
    """Threads that wake while they are looked at: switched where they sleep, and no mix."""
    storm(stitch, folder, cycles(stitch, 15), STORM_THREADS='1', STORM_SLEEP='1',
          STORM_TIMER='1')


def test_storm_straight(stitch, folder):
    """Threads that go straight back in switch themselves, at the right moment."""
    storm(stitch, folder, cycles(stitch, 12), STORM_THREADS='0', STORM_TIMER='1',
          STORM_STRAIGHT='6' if SLOW else '20')


def test_branch_protected(stitch, folder):
    """Signed return addresses, and landing pads at the entries."""
    if 'aarch64' not in (CROSS or os.uname().machine):
        raise Skip('branch protection is arm64\'s')
    storm(stitch, folder, cycles(stitch, 15), STORM_THREADS='2', STORM_TIMER='1',
          flags='-O2 -pthread -mbranch-protection=standard')


def test_entered(stitch, folder):
    """An entry that no jump can stand at is refused for what it is."""
    if 's390x' not in (CROSS or os.uname().machine):
        raise Skip('elsewhere a jump is one instruction long, or shares bytes with what follows')
    prog, slp = make(stitch, folder, 'entered')
    with Program([prog]) as p:
        stitch.refused('entered-in-middle', 'check', p.pid, slp, status=4)
        stitch.refused('entered-in-middle', 'apply', p.pid, slp, status=4)
        p.check(0)


def test_guarded(stitch, folder):
    """Landing pads that are paciasp stay where calls through pointers land."""
    if 'aarch64' not in (CROSS or os.uname().machine):
        raise Skip('branch protection is arm64\'s')
    # The functions of one object are one flavour or the other; both kinds of key.
    for n, flags in enumerate(('standard', 'bti+pac-ret+b-key')):
        prog, slp = make(stitch, folder, 'guarded', slp=f'fix{n}.slp',
                         flags=f'-O2 -pthread -mbranch-protection={flags}')
        if CROSS:
            continue
        with Program([prog]) as p:
            need(p.ask('guarded') == 'yes', 'no page is guarded')
            p.check(0)
            there_and_back(stitch, p, slp, 5)
    if CROSS:
        raise Prepared()


def test_storm_churn(stitch, folder):
    storm(stitch, folder, cycles(stitch, 6), STORM_THREADS='2', STORM_TIMER='1',
          STORM_CHURN='1')


def test_storm_slow_tool(stitch, folder):
    """A tool that comes behind with what threads report, as on a machine that has no time for
    it, gets on all the same: eight of them make others without pause."""
    if not shutil.which('strace') or stitch.has_sanitizers:
        raise Skip('no strace to slow the tool down, or it is slow already')
    storm(stitch, folder, 1, STORM_THREADS='0', STORM_RESTING='64', STORM_CHURN='1',
          before=('strace', '-f', '-o', os.path.join(folder, 'trace')))


def test_nocfi(stitch, folder):
    """A trace that cannot be completed is never taken for a safe one."""
    prog, slp = make(stitch, folder, 'nocfi')
    with Program([prog]) as p:
        done = stitch.refused('unreliable', 'apply', '-t', '0.3', p.pid, slp, status=3)
        need('no-cfi' in done.stderr, done.stderr)
        need(p.ask('go') == 'ok', 'go')
        time.sleep(0.1)
        stitch.ok('apply', p.pid, slp)
        stitch.ok('revert', p.pid)


def test_inside_new(stitch, folder):
    """A thread in a patch's function has a whole stack, though its caller calls another."""
    prog, slp = make(stitch, folder, 'inside')
    with Program([prog]) as p:
        stitch.ok('apply', '-t', PATIENCE, p.pid, slp)
        seen = 0
        end = time.time() + 30
        while seen < 3 and time.time() < end:
            for thread in stitch.json('stack', p.pid)['processes'][0]['threads']:
                need(thread['complete'], f'{thread["verdict"]}: {thread["frames"]}')
                seen += any(f.get('symbol') == 'slow' and f['object'] != 'prog'
                            for f in thread['frames'])
            time.sleep(0.05)
        need(seen >= 3, 'no thread was seen in the new function')
        stitch.ok('revert', '-t', PATIENCE, p.pid)


def test_reload(stitch, folder):
    """What was learnt of a library is forgotten with it, while a function is waited for."""
    prog, slp = make(stitch, folder, 'reload')
    with Program([prog]) as p:
        worker = subprocess.Popen([stitch.path, 'apply', '-t', str(PATIENCE), str(p.pid), slp],
                                  stderr=subprocess.PIPE, text=True)
        time.sleep(2)
        need(p.ask('go') == 'ok', 'go')
        errors = worker.communicate(timeout=PATIENCE + 30)[1]
        need(worker.returncode == 0, errors)
        p.check(1, 'patched')
        need(p.ask('version') == 'new', 'the patch is not in effect')
        for _ in range(20):
            stitch.ok('stack', p.pid)
        stitch.ok('revert', '-t', PATIENCE, p.pid)
        p.check(0, 'reverted')


def test_eintr(stitch, folder):
    prog, slp = make(stitch, folder, 'eintr')
    if os.uname().machine == 'aarch64':
        raise Skip('the kernel has decided what an interrupted call returns before a tracer '
                   'sees the thread, and does not show the first argument any more')
    with Program([prog]) as p:
        for _ in range(5 if SLOW or stitch.has_sanitizers else 15):
            stitch.ok('apply', p.pid, slp)
            p.check(1, 'patched')
            stitch.ok('stack', p.pid)
            stitch.ok('revert', p.pid)
            p.check(0, 'reverted')


def test_seccomp(stitch, folder):
    prog, slp = make(stitch, folder, 'seccomp')
    with Program([prog]) as p:
        done = stitch.run('apply', p.pid, slp)
        if done.returncode == 4 and '[seccomp]' in done.stderr:
            p.check(0, 'after the refusal')
            raise Skip('this kernel does not let seccomp be suspended')
        need(done.returncode == 0, done.stderr)
        p.check(1, 'patched')
        stitch.ok('revert', p.pid)
        p.check(0, 'reverted')


def test_matched_by_functions(stitch, folder):
    """The rebuild is laid out otherwise than what runs, which has a second helper()."""
    prog, slp = make(stitch, folder, 'matched', extra=True)
    need('function by function' in stitch.json('show', slp)['matched'], 'matched otherwise')
    with Program([prog]) as p:
        p.check(0)
        stitch.ok('apply', p.pid, slp)
        p.check(1, 'patched')
        stitch.ok('revert', p.pid)
        p.check(0, 'reverted')


def build_with(stitch, folder, files, command):
    """A tree of tests/live/matched.c and more files, built by a command of its own."""
    case = Case.__new__(Case)
    case.text = open(os.path.join(HERE, 'live', 'matched.c')).read()
    for which in ('old', 'new', 'run'):
        path = os.path.join(folder, which)
        os.makedirs(path)
        for name, text in {'case.c': case.version(which == 'new'), 'extra.c': EXTRA,
                           **files}.items():
            with open(os.path.join(path, name), 'w') as f:
                f.write(text)
        shutil.copy(os.path.join(CASES, 'live.h'), path)
    write_fix(folder)
    sh(*command, cwd=os.path.join(folder, 'run'))
    prog = sh('sh', '-c', 'find run -name prog -type f', cwd=folder).split()[0]
    prog = os.path.join(folder, prog)
    slp = os.path.join(folder, 'fix.slp')
    stitch.ok('build', '--source', os.path.join(folder, 'old'), '--patch',
              os.path.join(folder, 'fix.patch'), '--binary', prog, '-o', slp, '--', *command)
    with Program([prog]) as p:
        stitch.ok('apply', p.pid, slp)
        p.check(1, 'patched')
        stitch.ok('revert', p.pid)
        p.check(0, 'reverted')
    return slp


def test_build_make(stitch, folder):
    build_with(stitch, folder, {'Makefile': (
        'CFLAGS = -O2 -g -MMD -MF $*.d\nprog: sub/case.o libextra.a\n'
        '\t$(CC) $^ -o $@\nsub/case.o: case.c\n\tmkdir -p sub && $(CC) $(CFLAGS) -c $< -o $@\n'
        'libextra.a: extra.o\n\tar rc $@ $^\n')}, ['make', '-j2'])


def test_build_two_flavours(stitch, folder):
    """As libtool does: each source once for the library and once for a program, which
    must not be taken for each other."""
    slp = build_with(stitch, folder, {}, ['sh', '-c', (
        'set -e; mkdir -p pic; for f in case extra; do gcc -O2 -fPIC -c $f.c -o pic/$f.o; '
        'gcc -O0 -c $f.c -o $f.o; done; gcc pic/extra.o pic/case.o -o prog; '
        'gcc extra.o case.o -o other')])
    names = [f['name'] for f in stitch.json('show', slp)['objects'][0]['functions']]
    need(names == ['f'], f'{names}')
    need('not-in-image' in [n['kind'] for n in stitch.json('show', slp)['notes']],
         'the other flavour is not in the image')


BOTH = '''
extern int shared;
int shared = 5;
static __attribute__((noipa)) int local(int x) { return x + shared; }
static __attribute__((noipa)) int changed(int x) { return local(x) + %d; }
int entry(int x);
int entry(int x) { return changed(x); }
'''


def test_build_static_library(stitch, folder):
    """The same source for a static library: its global functions have the code of those that
    run, and its others do not."""
    for name, number in (('old', 1), ('new', 2), ('run', 1)):
        os.makedirs(os.path.join(folder, name))
        with open(os.path.join(folder, name, 'case.c'), 'w') as f:
            f.write(BOTH % number)
    write_fix(folder)
    build = ('mkdir -p pic && gcc -O2 -fPIC -c case.c -o pic/case.o && gcc -shared pic/case.o '
             '-o libone.so && gcc -O2 -fno-pic -c case.c -o case.o && ar rc libone.a case.o')
    sh('sh', '-c', build, cwd=os.path.join(folder, 'run'))
    library, slp = os.path.join(folder, 'run', 'libone.so'), os.path.join(folder, 'fix.slp')
    sh('strip', library)
    stitch.ok('build', '--source', os.path.join(folder, 'old'), '--patch',
              os.path.join(folder, 'fix.patch'), '--binary', library, '-o', slp, '--',
              'sh', '-c', build)
    names = [f['name'] for f in stitch.json('show', slp)['objects'][0]['functions']]
    need(names == ['changed'], f'{names}')


def need_archive():
    if os.getuid() or not shutil.which('dpkg-scansources'):
        raise Skip('needs root, for a mount namespace, and dpkg-dev')


STONE = ('stone_1.0-1.dsc', 'stone_1.0-1.debian.tar.xz', 'stone_1.0.orig.tar.gz')
STONE_FIX = '''--- a/stone.c
+++ b/stone.c
@@ -2 +2 @@
-int stone(void) { return 1; }
+int stone(void) { return 2; }
'''


def write_stone_fix(folder):
    path = os.path.join(folder, 'fix.patch')
    with open(path, 'w') as f:
        f.write(STONE_FIX)
    return path


def make_source_package(folder, name='stone', version='1.0-1', fields='', binary=None):
    """As dpkg-source makes it: the folder with its files."""
    upstream = version.rpartition('-')[0]
    package, tree = name, os.path.join(folder, f'{name}-{upstream}')
    os.makedirs(os.path.join(tree, 'debian', 'source'))
    for name, text in (('stone.c', 'int stone(void);\nint stone(void) { return 1; }\n'),):
        with open(os.path.join(tree, name), 'w') as f:
            f.write(text)
    sh('tar', 'czf', f'{package}_{upstream}.orig.tar.gz', f'{package}-{upstream}/stone.c',
       cwd=folder)
    who = 'Nobody <nobody@example.org>'
    for name, text in (
            ('control', f'Source: {package}\nMaintainer: {who}\nStandards-Version: 4.6.2\n{fields}\n'
             f'Package: {binary or package}\nArchitecture: any\nDescription: a stone\n'),
            ('changelog', f'{package} ({version}) unstable; urgency=low\n\n  * It is.\n\n'
             f' -- {who}  Mon, 02 Jan 2023 00:00:00 +0000\n'),
            ('rules', '#!/usr/bin/make -f\n'), ('source/format', '3.0 (quilt)\n')):
        with open(os.path.join(tree, 'debian', name), 'w') as f:
            f.write(text)
    sh('dpkg-source', '-b', f'{package}-{upstream}', cwd=folder)


def make_patched_package(folder, version, patches):
    """stone with patches, each a name and what it makes of which line."""
    make_source_package(folder, version=version)
    tree = os.path.join(folder, 'stone-1.0')
    with open(os.path.join(tree, 'stone.c'), 'w') as f:
        f.write(STONES)
    sh('tar', 'czf', 'stone_1.0.orig.tar.gz', 'stone-1.0/stone.c', cwd=folder)
    os.makedirs(os.path.join(tree, 'debian', 'patches'))
    lines = STONES.splitlines()
    with open(os.path.join(tree, 'debian', 'patches', 'series'), 'w') as series:
        for name, number, text in patches:
            series.write(name + '\n')
            hunk = [f' {line}\n' for line in lines]
            hunk[number:number + 1] = [f'-{lines[number]}\n', f'+{text}\n']
            lines[number] = text
            with open(os.path.join(tree, 'debian', 'patches', name), 'w') as f:
                f.write(f'--- a/stone.c\n+++ b/stone.c\n@@ -1,{len(lines)} +1,{len(lines)} @@\n'
                        + ''.join(hunk))
    sh('dpkg-source', '-b', 'stone-1.0', cwd=folder)
    shutil.rmtree(tree)


STONES = ''.join(f'int stone{n}(void);\n' for n in range(6))


def test_debian_patches(stitch, folder):
    """
    What a newer version has is the whole of what its patches make otherwise: of new ones that
    stand before others, of those that are changed and of those that are gone.
    """
    need_archive()
    one, two, four = ('one', 1, 'int one(void);'), ('two', 2, 'int two(void);'), \
        ('four', 4, 'int four(void);')
    same = ('same', 0, 'int same(void);')
    make_patched_package(folder, '1.0-1', [one, two, four, same])
    orig = os.path.join(folder, 'stone_1.0.orig.tar.gz')
    kept = open(orig, 'rb').read()
    make_patched_package(folder, '1.0-2', [('new', 1, 'int zero(void);'), ('one', 1, one[2]),
                                           ('two', 2, 'int second(void);'),
                                           ('last', 5, 'int five(void);'), same])
    # Both versions are of one tarball, whose bytes have the time in them.
    with open(orig, 'wb') as f:
        f.write(kept)
    sh('dpkg-source', '-x', 'stone_1.0-1.dsc', 'first', cwd=folder)
    sh('dpkg-source', '--no-check', '-x', 'stone_1.0-2.dsc', 'second', cwd=folder)
    sh('dpkg-source', '-b', 'second', cwd=folder)
    lists = make_archive(folder, (*STONE, 'stone_1.0-2.dsc', 'stone_1.0-2.debian.tar.xz'))
    fix = os.path.join(folder, 'fix.slp.work', 'stone-1.0-2.patch')
    for options, said, changed in (
            ((), ('the fix has new', 'one is changed', 'two is changed', 'the fix has last',
                  'four is gone'),
             ['-int four(void);', '-int stone5(void);', '-int two(void);', '+int five(void);',
              '+int second(void);', '+int stone4(void);']),
            (('--only', 'last'), ('the fix has last', 'left out: new'),
             ['-int stone5(void);', '+int five(void);'])):
        done = build_debian(stitch, folder, lists, '--debian', 'stone=1.0-1', '--fix-from',
                            '1.0-2', '--binary', '/bin/true', *options)
        need(all(text in done.stderr for text in said), done.stderr)
        # It is the same change, beside other lines.
        need('same is' not in done.stderr, done.stderr)
        lines = [line for line in open(fix).read().splitlines()
                 if line.startswith(('+', '-')) and line[:3] not in ('---', '+++')]
        need(sorted(lines) == sorted(changed), f'{lines}: {done.stderr}')


def make_archive(folder, names, packages=''):
    """An archive of those files, and the list for apt that knows no other."""
    lists, root = os.path.join(folder, 'sources.list.d'), os.path.join(folder, 'archive')
    pool = os.path.join(root, 'pool')
    for path in (lists, pool):
        os.makedirs(path)
    for name in names:
        os.rename(os.path.join(folder, name), os.path.join(pool, name))
    for name, text in (('Sources', sh('dpkg-scansources', 'pool', cwd=root)),
                       ('Packages', packages)):
        with open(os.path.join(root, name), 'w') as f:
            f.write(text)
    with open(os.path.join(lists, 'own.list'), 'w') as f:
        for kind in ('deb', 'deb-src'):
            f.write(f'{kind} [trusted=yes allow-insecure=yes] file:{root} ./\n')
    return lists


def build_debian(stitch, folder, lists, *options, slp='fix.slp', bind=('/tmp', '/tmp'), path='',
                 alone=False):
    """With an apt that knows those lists alone, one folder for another, and path before PATH,
    or instead of it; the working folder is slp.work."""
    return subprocess.run(
        ['unshare', '-m', 'sh', '-c', 'mount --bind "$1" /etc/apt/sources.list.d && '
         'mount --rbind "$2" "$3" && shift 3 && exec "$@"', 'sh', lists, *bind, stitch.path, 'build', '-o', os.path.join(folder, slp),
         '--work', os.path.join(folder, slp + '.work'), *options],
        env=dict(os.environ, PATH=path if alone else path + os.environ['PATH']), capture_output=True, text=True,
        timeout=120)


REBUILT = '''Package: libstone1
Source: stone (1.0-1)
Version: 1.0-1+b1
Architecture: all
Filename: pool/none.deb
Size: 1
SHA256: %s
Description: a stone

''' % ('0' * 64)


def test_debian_rebuilt(stitch, folder):
    """A binary that was built anew from the same source, named by its source's version; and
    a version that the archive has no more."""
    need_archive()
    make_source_package(folder)
    lists = make_archive(folder, STONE, REBUILT)
    done = build_debian(stitch, folder, lists, '--debian', 'libstone1=1.0-1', '--fix-from',
                        '1.0-1')
    need('fetching the source of stone 1.0-1\n' in done.stderr and
         '[nothing-to-patch]' in done.stderr, done.stderr)
    done = build_debian(stitch, folder, lists, '--debian', 'libstone1=0.9-1', '--fix-from',
                        '1.0-1')
    need('stone 0.9-1' in done.stderr and '[no-source]' in done.stderr, done.stderr)


def test_debian_installed(stitch, folder):
    """What is installed is what runs, though the archive has the binary no more."""
    need_archive()
    version = sh('dpkg-query', '-W', '-f', '${Version}', 'sed')
    upstream = version.rpartition('-')[0]
    make_source_package(folder, 'sed', version)
    lists = make_archive(folder, (f'sed_{version}.dsc', f'sed_{version}.debian.tar.xz',
                                  f'sed_{upstream}.orig.tar.gz'))
    fix = write_stone_fix(folder)
    done = build_debian(stitch, folder, lists, '--debian', 'sed', '--patch', fix)
    need('[build-failed]' in done.stderr, done.stderr)  # it has no rules
    need('older than GCC' not in done.stderr, done.stderr)
    shipped = sh('find', os.path.join(folder, 'fix.slp.work', 'shipped'), '-name', 'sed',
                 '-type', 'f')
    need(open(shipped.split()[0], 'rb').read() == open('/bin/sed', 'rb').read(), shipped)


def test_debian_source(stitch, folder):
    """A source is named: what is made of it is what runs, without its headers.  It is built
    with Debian's tools, and not with what somebody has before them."""
    need_archive()
    make_source_package(folder, binary='libstone1')
    root, deb = os.path.join(folder, 'root'), 'libstone1_1.0-1_amd64.deb'
    os.makedirs(os.path.join(root, 'usr', 'lib'))
    os.makedirs(os.path.join(root, 'DEBIAN'))
    stone = shutil.copy('/bin/true', os.path.join(root, 'usr', 'lib', 'libstone.so.1'))
    os.utime(stone, (1.4e9, 1.4e9))   # 2014
    gcc = sh('gcc', '-dumpversion').strip()
    is_dated = os.path.exists(f'/usr/share/doc/gcc-{gcc}-base/changelog.Debian.gz')
    with open(os.path.join(root, 'DEBIAN', 'control'), 'w') as f:
        f.write('Package: libstone1\nSource: stone\nVersion: 1.0-1\nArchitecture: amd64\n'
                'Maintainer: nobody <nobody@example.org>\nDescription: a stone\n')
    sh('dpkg-deb', '-b', root, deb, cwd=folder)
    packages = sh('dpkg-scanpackages', '.', cwd=folder).replace('./' + deb, 'pool/' + deb)
    lists = make_archive(folder, (*STONE, deb), packages)
    fix = write_stone_fix(folder)
    own = os.path.join(root, 'dpkg-buildpackage')
    with open(own, 'w') as f:
        f.write('#!/bin/sh\ntouch "$0.ran"\nexit 1\n')
    os.chmod(own, 0o755)
    for number, name in enumerate(('stone=1.0-1', 'stone')):
        slp = f'{number}.slp'
        args = ('--debian', name, '--patch', fix)
        done = build_debian(stitch, folder, lists, *args, '--download-only', slp=slp)
        work = os.path.join(folder, slp + '.work')
        need(not done.returncode and 'building' not in done.stderr and
             os.path.exists(os.path.join(work, 'shipped.done')) and
             not os.path.exists(os.path.join(work, 'build')), done.stderr)
        done = build_debian(stitch, folder, lists, *args, slp=slp, path=root + ':')
        need('fetching' not in done.stderr, done.stderr)
        need(not os.path.exists(own + '.ran'), 'not built with what Debian has')
        need('[build-failed]' in done.stderr, done.stderr)  # it has no rules
        need((f'older than GCC {gcc}, ' in done.stderr) == is_dated, done.stderr)
        need(os.path.exists(os.path.join(folder, slp + '.work', 'shipped-others', 'usr', 'lib',
                                         'libstone.so.1')), done.stderr)


def test_debian_conflicts(stitch, folder):
    """What a build is in conflict with stays on the machine, if it is more than headers."""
    need_archive()
    make_source_package(folder, fields='Build-Conflicts: pebble, pebble-dev\n')
    dpkg = os.path.join(folder, 'dpkg')
    shutil.copytree('/var/lib/dpkg', dpkg)
    lists = make_archive(folder, STONE, REBUILT)
    fix = write_stone_fix(folder)
    for names, want in ((('pebble-dev',), 'apt removes for it: pebble-dev\n'),
                        (('pebble', 'pebble-dev'), 'apt would remove from this machine: pebble.')):
        with open(os.path.join(dpkg, 'status'), 'a') as f:
            for name in names:
                open(os.path.join(dpkg, 'info', name + '.list'), 'w').close()
                f.write(f'\nPackage: {name}\nStatus: install ok installed\nVersion: 1\n'
                        'Architecture: all\nMaintainer: nobody\nDescription: a pebble\n')
        done = build_debian(stitch, folder, lists, '--debian', 'stone=1.0-1', '--patch', fix,
                            '--binary', '/bin/true', bind=(dpkg, '/var/lib/dpkg'))
        need(want in done.stderr, done.stderr)


def test_debian_tools(stitch, folder):
    """What fetches sources is brought, as what they need to be built is; or it is said."""
    need_archive()
    make_source_package(folder)
    lists = make_archive(folder, STONE)
    path, log = os.path.join(folder, 'bin'), os.path.join(folder, 'asked')
    lost = ('dpkg-source', 'dpkg-buildpackage')
    os.mkdir(path)
    for name in os.listdir('/usr/bin'):
        if name not in (*lost, 'apt-get'):
            os.symlink(f'/usr/bin/{name}', os.path.join(path, name))
    get = os.path.join(path, 'apt-get')
    for is_there in (False, True):
        with open(get, 'w') as f:
            brings = ''.join(f'ln -s /usr/bin/{name} {path}\n' for name in lost)
            f.write(f'#!/bin/sh\ncase "$*" in\n*dpkg-dev) echo "$@" >>{log}\n'
                    + (brings if is_there else 'echo no such package; exit 100\n')
                    + ';;\n*recommends\\ update) ;;\n'
                    '*) exec /usr/bin/apt-get "$@";;\nesac\n')
        os.chmod(get, 0o755)
        done = build_debian(stitch, folder, lists, '--debian', 'stone=1.0-1', '--fix-from',
                            '1.0-1', path=path, alone=True)
        need(f'[{"nothing-to-patch" if is_there else "missing-tool"}]' in done.stderr,
             done.stderr)
    asked = open(log).read().splitlines()
    need(len(asked) == 3 and all(' install dpkg-dev' in line for line in asked), str(asked))


def test_debian_elsewhere(stitch, folder):
    """A source of which an archive has lost its tarball and its .dsc, as those do that keep
    no old versions: the one is in another's pool, the other is made from the signed list."""
    need_archive()
    make_source_package(folder)
    lists = os.path.join(folder, 'sources.list.d')
    pools = [os.path.join(folder, name, 'pool', 'main', 's', 'stone') for name in 'ab']
    for path in (*pools, lists):
        os.makedirs(path)
    for name in STONE:
        os.rename(os.path.join(folder, name), os.path.join(pools[0], name))
    for name in 'ab':
        root = os.path.join(folder, name)
        with open(os.path.join(root, 'Sources'), 'w') as f:
            f.write(sh('dpkg-scansources', 'pool', cwd=root))
        open(os.path.join(root, 'Packages'), 'w').close()
        with open(os.path.join(lists, name + '.list'), 'w') as f:
            f.write(f'deb-src [trusted=yes allow-insecure=yes] file:{root} ./\n')
    os.rename(os.path.join(pools[0], 'stone_1.0.orig.tar.gz'),
              os.path.join(pools[1], 'stone_1.0.orig.tar.gz'))
    fetch_stone(stitch, folder, lists, 'fix.slp')
    os.unlink(os.path.join(pools[0], 'stone_1.0-1.dsc'))
    fetch_stone(stitch, folder, lists, 'again.slp')


def fetch_stone(stitch, folder, lists, slp):
    """It is fetched and unpacked; that it is no fix of itself is said behind that."""
    done = build_debian(stitch, folder, lists, '--debian', 'stone=1.0-1', '--fix-from', '1.0-1',
                        slp=slp)
    need('[nothing-to-patch]' in done.stderr, done.stderr)
    tree = os.path.join(folder, slp + '.work', 'stone')
    need(os.path.exists(os.path.join(tree, 'stone.c')) and
         os.path.exists(os.path.join(tree, 'debian', 'control')), 'the source is not whole')


def test_build_twice_at_once(stitch, folder):
    """A working folder is one build's at a time."""
    work = os.path.join(folder, 'work')
    os.makedirs(work)
    with open(os.path.join(work, 'lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            make(stitch, folder, 'plain', how=['--work', work])
            raise Failure('two builds in one folder')
        except Failure as why:
            need('[work-in-use]' in str(why) and 'status 3' in str(why), str(why))
    make(stitch, folder, 'plain', how=['--work', work])


def test_build_one_command(stitch, folder):
    build_with(stitch, folder, {}, ['gcc', '-O2', 'extra.c', 'case.c', '-o', 'prog'])


def test_build_cmake(stitch, folder):
    if not shutil.which('cmake'):
        raise Skip('cmake is not installed')
    build_with(stitch, folder, {'CMakeLists.txt': (
        'cmake_minimum_required(VERSION 3.10)\nproject(x C)\n'
        'add_executable(prog extra.c case.c)\n')},
        ['sh', '-c', 'cmake -S . -B out -DCMAKE_BUILD_TYPE=RelWithDebInfo && cmake --build out'])


def test_build_profile(stitch, folder):
    """A build that runs what it made and is led by the profile (PGO)."""
    build_with(stitch, folder, {}, ['sh', '-c', (
        'set -e; gcc -O2 -fprofile-generate extra.c case.c -o prog; echo check 0 | ./prog; '
        'gcc -O2 -fprofile-use extra.c case.c -o prog')])


def test_build_left_out(stitch, folder):
    """A fix's hunks for documentation and tests that do not apply are left out, and it is
    said; one for code is an error, and so is a diff of which nothing applies."""
    command = ['gcc -O2 extra.c case.c -o prog']
    hunk = '--- old/{0}\n+++ new/{0}\n@@ -1,6 +1,7 @@\n a1\n a2\n a3\n+two\n' \
        ' a4\n a5\n a6\n'
    slp = build_with(stitch, folder, {}, ['sh', '-c', *command])
    fix = os.path.join(folder, 'fix.patch')
    diff = open(fix).read()
    args = ['build', '--source', os.path.join(folder, 'old'), '--patch', fix, '--binary',
            os.path.join(folder, 'run', 'prog'), '-o', slp, '--', 'sh', '-c', *command]
    for text, ok in ((hunk.format('doc/notes') + diff + hunk.format('ChangeLog'), True),
                     (diff + hunk.format('extra.c'), False), (hunk.format('ChangeLog'), False),
                     ('nonsense', False), (diff, True)):
        with open(fix, 'w') as f:
            f.write(text)
        if not ok:
            stitch.refused('patch-does-not-apply', *args)
            continue
        for _ in range(2):  # built, and built before
            stitch.ok(*args)
            said = [n['text'] for n in stitch.json('show', slp)['notes'] if n['kind'] == 'left-out']
            need(bool(said) == (text != diff) and
                 all('doc/notes, ChangeLog' in t for t in said), f'{said}')


def test_build_trials(stitch, folder):
    """What a build compiles elsewhere and throws away, under a new name each time, as
    configure does, is nobody's part."""
    build_with(stitch, folder, {}, ['sh', '-c', 'd=$(mktemp -d) && echo "int x$$;" >$d/t.c && '
                                    'gcc -c $d/t.c -o $d/t.o && rm -r $d && '
                                    'gcc -O2 extra.c case.c -o prog'])


def test_build_again(stitch, folder):
    """A second build takes up what is there; one that was killed leaves nothing half done."""
    command = ['sh', '-c', 'sleep 0.4; gcc -O2 extra.c case.c -o prog']
    slp = build_with(stitch, folder, {}, command)
    first = open(slp, 'rb').read()
    args = ['build', '--source', os.path.join(folder, 'old'), '--patch',
            os.path.join(folder, 'fix.patch'), '--binary', os.path.join(folder, 'run', 'prog'),
            '-o', slp, '--', *command]
    done = stitch.ok(*args)
    need(done.stderr.count('as it was built before') == 2, done.stderr)
    need(open(slp, 'rb').read() == first, 'the same input must give the same patch')
    shutil.rmtree(slp + '.work')
    for delay in (0.2, 0.6, 1.0, 1.2):
        worker = subprocess.Popen([stitch.path, *args], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        time.sleep(delay)
        worker.kill()
        worker.wait()
    stitch.ok(*args)
    need(open(slp, 'rb').read() == first, 'the patch after a killed build differs')


def test_several(stitch, folder):
    # A build of its own, for --all takes the programs of tests beside this one, too.
    prog, slp = make(stitch, folder, 'plain', flags='-O2 -pthread -Wl,--defsym=several=0')
    with Program([prog]) as a, Program([prog]) as b:
        stitch.ok('apply', a.pid, b.pid, slp)
        a.check(1)
        b.check(1)
        out = stitch.json('list', a.pid, b.pid)
        need([len(x['patches']) for x in out['processes']] == [1, 1], f'{out}')
        stitch.ok('revert', '--exe', prog)
        a.check(0)
        b.check(0)
        stitch.ok('apply', '--all', slp)
        a.check(1)
        b.check(1)
        stitch.ok('revert', a.pid, b.pid, 'fix')
        done = stitch.run('apply', a.pid, 99999999, slp)
        need(done.returncode == 1 and '[gone]' in done.stderr, f'{done}')
        a.check(1, 'one of two')


def test_repository_around(stitch, folder):
    """A build that asks git what it is of finds no repository but the source's own."""
    if is_built() or CROSS:
        raise Skip('builds where it runs')
    script = ('set -e\nv=$(git rev-parse HEAD 2>/dev/null || echo none)\n'
              'gcc -O2 -DVERSION="\\"$v\\"" -c case.c -o case.o && gcc case.o -o prog\n')
    for which, number in (('old', 1), ('new', 2), ('run', 1)):
        os.makedirs(os.path.join(folder, which))
        with open(os.path.join(folder, which, 'case.c'), 'w') as f:
            f.write(f'int f(int x) {{ return x + {number}; }}\n'
                    'const char *version(void) { return VERSION; }\n'
                    'int main(void) { return f(*version()); }\n')
        with open(os.path.join(folder, which, 'build.sh'), 'w') as f:
            f.write(script)
    write_fix(folder)
    subprocess.run(['sh', 'build.sh'], cwd=os.path.join(folder, 'run'), check=True,
                   env=dict(os.environ, GIT_CEILING_DIRECTORIES=folder))
    git = ['git', '-C', folder, '-c', 'user.name=x', '-c', 'user.email=x']
    sh(*git, 'init', '-q')
    sh(*git, 'commit', '-q', '--allow-empty', '-m', 'x')
    out = stitch.json('build', '--source', os.path.join(folder, 'old'), '--patch',
                      os.path.join(folder, 'fix.patch'), '--binary',
                      os.path.join(folder, 'run', 'prog'), '-o',
                      os.path.join(folder, 'fix.slp'), '--', 'sh', 'build.sh')
    need(out['matched'] == 'the rebuild has its build ID', f'{out}')


def test_wrong_build(stitch, folder):
    _, slp = make(stitch, folder, 'plain')
    other, _ = make(stitch, folder, 'plain', flags='-O1 -pthread', slp='other.slp')
    with Program([other]) as p:
        stitch.refused('build-id-differs', 'apply', p.pid, slp, status=4)
        p.check(0, 'after the refusal')


def test_wrong_flags(stitch, folder):
    """A rebuild with other flags than the binary's makes no patch."""
    prog, _ = make(stitch, folder, 'plain', flags='-O0 -pthread')
    work = os.path.join(folder, 'fix.slp.d')
    with open(os.path.join(work, 'old', 'build.sh'), 'w') as f:
        f.write('gcc -O2 -c case.c -o case.o && gcc case.o -o prog\n')
    done = stitch.refused('no-match', 'build', '--source', os.path.join(work, 'old'), '--patch',
                          os.path.join(work, 'fix.patch'), '--binary', prog, '-o',
                          os.path.join(folder, 'x.slp'), '--', 'sh', 'build.sh')
    need('prog, which runs, was built with another compiler' in done.stderr, done.stderr)


def patch_memory(pid, addr, data):
    with open(f'/proc/{pid}/mem', 'r+b', buffering=0) as f:
        f.seek(addr)
        old = f.read(len(data))
        f.seek(addr)
        f.write(data)
        return old


def test_changed_memory(stitch, folder):
    """A breakpoint or another patcher in the function is a refusal, also of revert's path."""
    prog, slp = make(stitch, folder, 'plain')
    with Program([prog]) as p:
        func = stitch.json('show', slp)['objects'][0]['functions'][0]
        base = int(open(f'/proc/{p.pid}/maps').readline().split('-')[0], 16)
        addr = base + int(func['vaddr'], 16) + func['size'] - 1
        old = patch_memory(p.pid, addr, b'\xcc')
        stitch.refused('old-bytes-differ', 'apply', p.pid, slp, status=4)
        patch_memory(p.pid, addr, old)
        p.check(0, 'after the refusal')
        stitch.ok('apply', p.pid, slp)
        p.check(1, 'patched')
        need(stitch.run('status', p.pid).returncode == 0, 'status of a right patch')
        site = base + int(func['vaddr'], 16)
        old = patch_memory(p.pid, site, b'\xcc')
        need(stitch.run('status', p.pid).returncode == 1, 'status must see a changed entry')
        patch_memory(p.pid, site, old)
        stitch.ok('revert', p.pid)


def test_deleted_file(stitch, folder):
    """The package was upgraded: what runs is a deleted file, another is at its place."""
    prog, slp = make(stitch, folder, 'plain')
    with Program([prog]) as p:
        shutil.copy('/bin/true', prog + '.new')
        os.rename(prog + '.new', prog)
        stitch.ok('apply', p.pid, slp)
        p.check(1, 'patched')
        stitch.ok('revert', p.pid)
        p.check(0, 'reverted')


def test_stacked(stitch, folder):
    prog, first = make(stitch, folder, 'plain')
    _, second = make(stitch, folder, 'plain', slp='second.slp',
                     edit=lambda t: t.replace('x + 2', 'x + 50'))
    with Program([prog]) as p:
        stitch.ok('apply', p.pid, first)
        stitch.refused('already-applied', 'apply', p.pid, first)
        stitch.ok('apply', p.pid, second)
        need(p.ask('value') == '51', 'the newest must win')
        stitch.ok('status', p.pid)
        stitch.ok('revert', p.pid, 'second')
        need(p.ask('value') == '3', 'the one below must be back')
        stitch.ok('apply', p.pid, second)
        stitch.ok('revert', p.pid, 'fix')
        need(p.ask('value') == '51', 'the middle one is out, the newest stays')
        stitch.ok('revert', p.pid)
        need(p.ask('value') == '2', 'all are out')
        maps = open(f'/proc/{p.pid}/maps').read()
        need(not re.search(r' r--p 00000000 00:00 0 *\n.*rw-p 00000000 00:00 0 *\n.*prog', maps),
             maps)
        stitch.refused('no-such-patch', 'revert', p.pid)


def apply_up_to(stitch, p, slp, step):
    """A tool that stands at a step of its apply, and goes on by SIGCONT."""
    tool = subprocess.Popen([stitch.path, 'apply', str(p.pid), slp],
                            env=dict(os.environ, STITCH_FAULT=step + ':stop'),
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: process_state(tool.pid) == 'T', f'no stop at {step}')
    return tool


def test_crowded(stitch, folder):
    """The room in which something was to be mapped is taken in the last moment."""
    prog, slp = make(stitch, folder, 'crowd')
    for step in ('record-map', 'arena-map'):
        with Program([prog]) as p:
            tool = apply_up_to(stitch, p, slp, step)
            need(p.ask('crowd') == 'ok', 'the program does not map')
            os.kill(tool.pid, signal.SIGCONT)
            _, err = tool.communicate(timeout=PATIENCE)
            need(tool.returncode == 0, f'{step}: {err}')
            p.check(1, step)
            stitch.ok('revert', p.pid)
            p.check(0, step)


def test_merged_mapping(stitch, folder):
    """The program maps a page beside the patch's data; the kernel makes one mapping of both."""
    prog, slp = make(stitch, folder, 'plain')
    with Program([prog]) as p:
        before = set(open(f'/proc/{p.pid}/maps').read().splitlines())
        stitch.ok('apply', p.pid, slp)
        new = [line for line in open(f'/proc/{p.pid}/maps').read().splitlines()
               if line not in before and ' rw-p ' in line]
        need(len(new) == 1, f'{new}')
        end = new[0].split()[0].split('-')[1]
        need(p.ask(f'map {end}') == 'ok', 'mapping beside it')
        need(not any(line.startswith(new[0].split()[0])
                     for line in open(f'/proc/{p.pid}/maps').read().splitlines()),
             'the mappings were not merged: this tests nothing')
        p.check(1, 'patched')
        stitch.ok('status', p.pid)
        stitch.ok('revert', p.pid)
        p.check(0, 'reverted')
        need(p.ask(f'look {end}') == 'ok', "the program's own page is gone")
        left = [line for line in open(f'/proc/{p.pid}/maps').read().splitlines()
                if line.startswith(new[0].split('-')[0])]
        need(not left, f"the patch's data stayed: {left}")


def recorded(pid):
    """The text of the record in a process (docs/record.md)."""
    with open(f'/proc/{pid}/mem', 'rb') as mem:
        for line in open(f'/proc/{pid}/maps'):
            start, end = (int(x, 16) for x in line.split()[0].split('-'))
            at = -(-start // (1 << 20)) << 20
            if ' r--p ' not in line or at + (1 << 20) > end:
                continue
            mem.seek(at)
            data = mem.read(1 << 20)
            if not data.startswith(b'stitch record\n'):
                continue
            slot = 64 + (data[24] & 1) * (((1 << 20) - 64) // 2)
            size = int.from_bytes(data[slot:slot + 8], 'little')
            return json.loads(data[slot + 40:slot + 40 + size])
    return None


def test_not_ours(stitch, folder):
    """Where a dead tool was about to map something the program has something of its own."""
    prog, slp = make(stitch, folder, 'plain')
    with Program([prog]) as p:
        stitch.ok('apply', p.pid, slp)
        stitch.run('revert', p.pid, fault='arena-map:kill')
        at = int(recorded(p.pid)['patches'][0]['dispatch'], 16)
        need(at, 'no dispatcher was about to come')
        # As large as a dispatcher's data: two pages, or one of 64 KiB.
        pages = range(at, at + 8192, min(8192, os.sysconf('SC_PAGESIZE')))
        for page in pages:
            need(p.ask(f'map {page:x}') == 'ok', 'mapping in its place')
        stitch.ok('revert', p.pid)
        p.check(0, 'reverted')
        for page in pages:
            need(p.ask(f'look {page:x}') == 'ok', "the program's own pages are gone")


def test_clean(stitch, folder):
    """After revert the mappings are those of before."""
    prog, slp = make(stitch, folder, 'plain')
    with Program([prog]) as p:
        p.check(0)
        before = open(f'/proc/{p.pid}/maps').read()
        stitch.ok('apply', p.pid, slp)
        during = open(f'/proc/{p.pid}/maps').read()
        need(not re.search(r'^\S+ .?wx', during, re.M), 'writable and executable memory')
        stitch.ok('revert', p.pid)
        p.check(0)
        need(open(f'/proc/{p.pid}/maps').read() == before, 'mappings stayed')


def test_traced(stitch, folder):
    prog, slp = make(stitch, folder, 'plain')
    with Program([prog]) as p:
        tracer = subprocess.Popen([sys.executable, '-c', (
            'import ctypes,sys,time\n'
            f'assert ctypes.CDLL(None).ptrace(0x4206, {p.pid}, 0, 0) == 0\n'
            'print("traced", flush=True)\ntime.sleep(60)\n')], stdout=subprocess.PIPE, text=True)
        tracer.stdout.readline()
        stitch.refused('traced', 'apply', p.pid, slp, status=3)
        tracer.kill()
        tracer.wait()
        stitch.ok('apply', p.pid, slp)
        p.check(1)


def test_library(stitch, folder):
    user = os.path.join(os.path.dirname(stitch.path), '..', 'tests', 'use-libstitch')
    prog, slp = make(stitch, folder, 'plain')
    with Program([prog]) as p:
        done = subprocess.run([user, str(p.pid), slp], capture_output=True, text=True,
                              env=dict(os.environ, ASAN_OPTIONS='detect_leaks=0'))
        need(done.returncode == 0 and done.stdout.strip() == 'ok', done.stdout + done.stderr)
        p.check(0)


def test_two_tools(stitch, folder):
    prog, slp = make(stitch, folder, 'plain')
    with Program([prog]) as p:
        for _ in range(15):
            workers = [subprocess.Popen([stitch.path, 'apply', str(p.pid), slp],
                                        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        text=True) for _ in range(6)]
            results = [(w.communicate()[1], w.returncode) for w in workers]
            need(sum(code == 0 for _, code in results) == 1, f'exactly one applies: {results}')
            need(all(code == 0 or '[locked]' in text or '[already-applied]' in text
                     for text, code in results), f'{results}')
            p.check(1)
            stitch.ok('revert', p.pid)
            p.check(0)


def test_gone(stitch, folder):
    prog, slp = make(stitch, folder, 'plain')
    with Program([prog]) as p:
        pid = p.pid
    stitch.refused('gone', 'apply', pid, slp, status=1)
    stitch.refused('gone', 'stack', pid, status=1)
    kernel = [p for p in os.listdir('/proc') if p.isdigit() and
              not os.path.exists(f'/proc/{p}/exe') and p != '1']
    if kernel:
        stitch.refused('no-program', 'stack', kernel[0], status=4)


def test_bad_input(stitch, folder):
    path = os.path.join(folder, 'x.slp')
    for data in (b'', b'\x7fELF', b'\0' * 4096, open('/bin/true', 'rb').read()):
        open(path, 'wb').write(data)
        done = stitch.run('show', path)
        need(done.returncode == 1 and '[bad-' in done.stderr, f'{done}')
    need(stitch.run('apply', '1').returncode == 2, 'no file is a usage error')
    need(stitch.run('frobnicate').returncode == 2, 'unknown command')
    need(stitch.run('apply', '--nonsense').returncode == 2, 'unknown option')
    need(stitch.run('--help').returncode == 0, 'help')
    need('apply' in stitch.run('--help').stdout, 'help goes to stdout')
    need(stitch.run('build', '--source', folder).returncode == 2, 'build without --patch')
    need(stitch.run('show', '/nonexistent').returncode == 1, 'no such file')


def steps():
    names = set()
    for root, _, files in os.walk(os.path.join(HERE, '..', 'src')):
        for name in files:
            if name.endswith('.c'):
                names |= set(re.findall(r'event_step\("([a-z-]+)"\)',
                                        open(os.path.join(root, name)).read()))
    # Those of callbacks have their own suite (callbacks.py).
    return sorted(n for n in names if not n.startswith(('call', 'runtime')))


def settle(stitch, p, slp, when):
    """Whatever a fault left, the next commands must bring it in order."""
    p.check(2, f'{when}: after the fault')
    done = stitch.run('apply', '-t', PATIENCE, p.pid, slp)
    need(done.returncode == 0 or '[already-applied]' in done.stderr,
         f'{when}: not patchable any more: {done.stderr}')
    p.check(1, f'{when}: applied after the fault')
    stitch.ok('status', p.pid)


def fault_twice(stitch, prog, slp, fault, action, again=False):
    """While a patch is applied, and while it is reverted; again: it was there before."""
    with Program([prog]) as p:
        p.check(0)
        if again:
            there_and_back(stitch, p, slp, 1)
        done = stitch.run('apply', p.pid, slp, fault=fault)
        if action == 'fail' and done.returncode:
            p.check(0, f'apply {fault}: a failed apply must be taken back')
            need('[fault]' in done.stderr, done.stderr)
        settle(stitch, p, slp, f'apply {fault}')
        done = stitch.run('revert', p.pid, fault=fault)
        p.check(2, f'revert {fault}')
        if done.returncode:
            stitch.ok('list')
            back = stitch.run('revert', '-t', PATIENCE, p.pid)
            need(back.returncode == 0 or '[no-such-patch]' in back.stderr,
                 f'revert {fault}: cannot be reverted any more: {back.stderr}')
        p.check(0, f'revert {fault}: reverted')
        settle(stitch, p, slp, f'after revert {fault}')
        stitch.ok('revert', '-t', PATIENCE, p.pid)
        p.check(0, 'at the end')
        need(not [x for x in stitch.json('list')['processes'] if x['pid'] == p.pid],
             f'{fault}: something is left in the record')


def test_stored(stitch, folder):
    """What the program may have addresses of stays, in one place however often it comes."""
    prog, slp = make(stitch, folder, 'stored')
    _, other = make(stitch, folder, 'stored', slp='other.slp', how=['--name', 'fix'],
                    edit=lambda text: text.replace('"new %d"', '"new  %d"'))
    with Program([prog]) as p:
        p.check(0)
        there_and_back(stitch, p, slp, 1)
        after = len(open(f'/proc/{p.pid}/maps').readlines())
        there_and_back(stitch, p, slp, 8)
        need(len(open(f'/proc/{p.pid}/maps').readlines()) == after, 'it takes more each time')
        need('retained' in stitch.ok('status', p.pid).stdout, 'status tells nothing of it')
        # Another patch of the same name is another.
        there_and_back(stitch, p, other, 2)
        stitch.ok('apply', '-t', PATIENCE, p.pid, other)
        stitch.refused('already-applied', 'apply', p.pid, slp)
        stitch.ok('revert', '-t', PATIENCE, p.pid)
        there_and_back(stitch, p, slp, 2)


def test_stored_fault(stitch, folder):
    """Dying while memory that had stayed is used again, and while it is left."""
    prog, slp = make(stitch, folder, 'stored')
    for step in ('record-write', 'arena-map', 'arena-mapped', 'arena-write', 'dispatch-write',
                 'arm-entry', 'settle', 'settle-entry', 'dispatch-unmap', 'restore',
                 'restore-entry', 'unmap')[::3 if SLOW or stitch.has_sanitizers else 1]:
        for action in ('kill', 'fail'):
            for reach in (1, 2):
                fault_twice(stitch, prog, slp, f'{step}:{action}@{reach}', action, again=True)


def test_fault(stitch, folder, step, action):
    prog, slp = make(stitch, folder, 'pair')
    for reach in (1,) if SLOW else (1, 2):
        fault_twice(stitch, prog, slp, f'{step}:{action}@{reach}', action)


def test_random_kill(stitch, folder):
    """At any moment of a whole command, however long it takes here (1,000: STRESS=4)."""
    prog, slp = make(stitch, folder, 'pair')
    rng = random.Random(7)
    with Program([prog]) as p:
        begun = time.time()
        there_and_back(stitch, p, slp, 3)
        whole = (time.time() - begun) / 6
        for n in range((60 if SLOW else 100 if stitch.has_sanitizers else 300) * STRESS):
            verb = ['apply', '-t', '20', str(p.pid), slp] if n % 2 else ['revert', str(p.pid)]
            worker = subprocess.Popen([stitch.path, *verb], stderr=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL)
            time.sleep(rng.random() * whole)
            worker.kill()
            worker.wait()
            p.check(2, f'killed while {verb[0]}, try {n}')
            if n % 10 == 9:
                settle(stitch, p, slp, f'try {n}')
        settle(stitch, p, slp, 'at the end')
        stitch.ok('revert', '-t', PATIENCE, p.pid)
        p.check(0)


def main():
    stitch = Stitch(sys.argv[1])
    suite = Suite('live')
    for name, function in sorted(globals().items()):
        # What only builds has been tested where it is built.
        if is_built() and name.startswith(('test_build_', 'test_wrong_flags')):
            continue
        if name.startswith('test_') and name != 'test_fault':
            suite.add(name[5:], lambda folder, f=function: f(stitch, folder))
    # All of them in an emulated machine take longer than all the rest: VM_FULL=1.
    some = 6 if SLOW and not os.environ.get('VM_FULL') else 1
    for n, step in enumerate(steps()[::some]):
        for action in one_action(stitch, n):
            suite.add(f'fault {step} {action}', lambda folder, s=step, a=action:
                      test_fault(stitch, folder, s, a))
    return suite.run(sys.argv[2:])


if __name__ == '__main__':
    sys.exit(main())
