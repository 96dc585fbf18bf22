#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Stacks of every kind, sound and spoilt, files that were replaced, other mount
namespaces, core files, idle daemons: each trace is right or refused.

usage: tests/stacks.py STITCH [TEST]...
"""
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from harness import Program, Skip, Stitch, Suite, need, sh  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, 'stacks')


def build(folder, size=64):
    """cases and its library, which is found beside it."""
    library, program = os.path.join(folder, 'libstacks.so'), os.path.join(folder, 'cases')
    sh('gcc', '-O2', f'-DSIZE={size}', '-shared', '-fPIC', '-o', library,
       os.path.join(SOURCE, 'library.c'))
    if not os.path.exists(program):
        sh('gcc', '-O2', '-pthread', '-o', program, os.path.join(SOURCE, 'cases.c'), library,
           f'-Wl,-rpath,{folder}')
    return program


def threads_of(stitch, pid):
    return stitch.json('stack', pid)['processes'][0]['threads']


def names(thread):
    """Function names, without what the compiler put behind them."""
    return [f.get('symbol', '?').split('.')[0] for f in thread['frames']]


def look(stitch, folder, *argv):
    with Program([build(folder), *argv]) as p:
        time.sleep(0.05)
        return threads_of(stitch, p.pid)


def sound(thread, *inside):
    """The trace is whole, and has these functions in this order."""
    need(thread['complete'], f'{thread["verdict"]}: {names(thread)}')
    rest = iter(names(thread))
    need(all(name in rest for name in inside), f'{inside} not in {names(thread)}')


def refused(thread, *verdicts):
    need(not thread['complete'], f'taken for whole: {names(thread)}')
    need(not verdicts or thread['verdict'] in verdicts, thread['verdict'])


def main_thread(stitch, folder, *argv):
    return look(stitch, folder, *argv)[0]


def add_cases(suite, stitch):
    ends = ['main', '__libc_start_main', '_start']
    right = {
        'plain': ['pause', 'rest', 'inner', 'outer', *ends],
        'bare': ['rest', 'inner', 'outer', *ends],
        'signal': ['rest', 'on_signal', 'raise', 'inner', *ends],
        'alternate': ['rest', 'on_signal', 'raise', 'inner', *ends],
        'alternate-inside': ['rest', 'on_signal', 'raise', 'inner', *ends],
        'callbacks': ['rest', 'first_state', 'run_machine', 'inner', *ends],
        'library': ['rest', 'library_function', 'inner', *ends],
        'deep': ['rest', 'deep', 'deep', 'inner', *ends],
    }
    wrong = {
        'aligning': ['no-cfi'], 'lying': [], 'plus3': ['not-a-call'],
        'context': [], 'jit': ['no-code'], 'jit-frame-pointer': ['no-code'],
        'zero': ['no-code'], 'other': [], 'start': [],
    }
    for name, inside in right.items():
        suite.add(f'case {name}', lambda folder, n=name, i=inside:
                  sound(main_thread(stitch, folder, n), *i))
    for name, verdicts in wrong.items():
        suite.add(f'case {name}', lambda folder, n=name, v=verdicts:
                  refused(main_thread(stitch, folder, n), *v))


def test_thread(stitch, folder):
    for thread in look(stitch, folder, 'thread'):
        sound(thread)
    sound(thread, 'rest', 'inner', 'outer', 'in_thread')


def test_end_of_clone(stitch, folder):
    """The place where threads end, as a return address in the first thread."""
    program = build(folder)
    with Program(['setarch', '-R', program, 'thread']) as p:
        time.sleep(0.05)
        last = threads_of(stitch, p.pid)[-1]['frames'][-1]
    with Program(['setarch', '-R', program, 'address', last['pc']]) as p:
        refused(threads_of(stitch, p.pid)[0])


def test_stopped_shortly(stitch, folder):
    """Threads stand still for their registers and stack only, however deep it is."""
    before = look(stitch, folder, 'plain')[0]['stopped_us']
    need(before < 1000000, f'{before} us')


def test_library_replaced(stitch, folder):
    """The file is another one by now, as after every upgrade."""
    with Program([build(folder), 'library']) as p:
        os.makedirs(os.path.join(folder, 'new'))
        sh('gcc', '-O2', '-DSIZE=999', '-shared', '-fPIC', '-o', folder + '/new/l.so',
           os.path.join(SOURCE, 'library.c'))
        os.rename(folder + '/new/l.so', folder + '/libstacks.so')
        sound(threads_of(stitch, p.pid)[0], 'library_function', 'inner', '_start')
        os.unlink(folder + '/libstacks.so')
        sound(threads_of(stitch, p.pid)[0], 'library_function', 'inner', '_start')


def test_other_namespace(stitch, folder):
    """The same name is another file in the process's mount namespace."""
    program = build(folder)
    shutil.copy(folder + '/libstacks.so', folder + '/hidden.so')
    build(folder, size=999)
    script = (f'mount --bind {folder}/hidden.so {folder}/libstacks.so && '
              f'exec {program} library')
    if subprocess.run(['unshare', '-m', 'true'], capture_output=True).returncode:
        raise Skip('no mount namespaces here')
    with Program(['unshare', '-m', 'sh', '-c', script]) as p:
        sound(threads_of(stitch, p.pid)[0], 'library_function', 'inner', '_start')


def dump(program, name, folder):
    if not open('/proc/sys/kernel/core_pattern').read().startswith('core'):
        raise Skip('core files go elsewhere (/proc/sys/kernel/core_pattern)')
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    process = subprocess.Popen([program, name], cwd=folder, stdout=subprocess.PIPE,
                               preexec_fn=lambda: resource.setrlimit(
                                   resource.RLIMIT_CORE, unlimited))
    process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGABRT)
    process.wait()
    cores = [f for f in os.listdir(folder) if f.startswith('core')]
    if not cores:
        raise Skip('no core file was written')
    return os.path.join(folder, cores[0])


def core_threads(stitch, core):
    return stitch.json('stack', '--core', core)['processes'][0]['threads']


def test_lines(stitch, folder):
    """Source lines, from debug information that the file itself has."""
    program = build(folder)
    sh('gcc', '-g', '-O2', '-pthread', '-o', program, os.path.join(SOURCE, 'cases.c'),
       folder + '/libstacks.so', f'-Wl,-rpath,{folder}')
    frames = main_thread(stitch, folder, 'plain')['frames']
    inner = next(f for f in frames if f.get('symbol', '').startswith('inner'))
    text = open(os.path.join(SOURCE, 'cases.c')).read().splitlines()
    need(inner.get('file', '').endswith('cases.c'), inner)
    need('f();' in ''.join(text[inner['line'] - 1:inner['line'] + 1]), inner)


def test_core(stitch, folder):
    core = dump(build(folder), 'thread', folder)
    threads = core_threads(stitch, core)
    need(len(threads) == 2, f'{len(threads)} threads')
    for thread in threads:
        sound(thread)
    need(any('in_thread' in names(t) for t in threads), 'no in_thread')
    text = stitch.ok('stack', '--core', core).stdout
    need('complete' in text and 'in_thread' in text, text)


def test_core_of_another_build(stitch, folder):
    """The library is not the one that was running: its frames are not made up."""
    core = dump(build(folder), 'library', folder)
    sound(core_threads(stitch, core)[0], 'library_function')
    build(folder, size=999)
    refused(core_threads(stitch, core)[0], 'no-code')


def test_core_bad(stitch, folder):
    stitch.refused('bad-core', 'stack', '--core', '/bin/ls', status=1)
    cut = os.path.join(folder, 'cut')
    whole = open(dump(build(folder), 'plain', folder), 'rb').read()
    for size in (100, 5000, len(whole) // 2):
        with open(cut, 'wb') as f:
            f.write(whole[:size])
        done = stitch.run('stack', '--core', cut)
        need(done.returncode == 1 and 'stitch: ' in done.stderr, f'{size}: {done}')


def test_uprobe(stitch, folder):
    """A return address that the kernel keeps for itself."""
    tracing = os.path.join(folder, 'tracing')
    os.mkdir(tracing)
    if subprocess.run(['mount', '-t', 'tracefs', 'none', tracing], capture_output=True).returncode:
        raise Skip('no tracefs here')
    try:
        if not os.path.exists(tracing + '/uprobe_events'):
            raise Skip('no uprobes in this kernel')
        with_uprobe(stitch, folder, tracing)
    finally:
        sh('umount', tracing)


def with_uprobe(stitch, folder, tracing):
    program = build(folder)
    out = subprocess.run(['nm', program], capture_output=True, text=True).stdout
    at = next(line.split()[0] for line in out.splitlines() if line.endswith(' inner'))
    group = f'stitch{os.getpid()}'

    def tell(path, text):
        fd = os.open(f'{tracing}/{path}', os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    try:
        tell('uprobe_events', f'r:{group}/inner {program}:0x{int(at, 16):x}\n')
    except OSError as error:
        raise Skip(f'this kernel takes no uprobe: {error.strerror}') from error
    try:
        tell(f'events/{group}/inner/enable', '1')
        with Program([program, 'plain']) as p:
            refused(threads_of(stitch, p.pid)[0], 'uprobe')
    finally:
        tell(f'events/{group}/inner/enable', '0')
        tell('uprobe_events', f'-:{group}/inner\n')


# ---- daemons, as Debian ships them, idle ------------------------------------------

DAEMONS = {
    'redis-server': ['redis-server', '--port', '0', '--unixsocket', '{}/redis.sock'],
    'nginx': ['nginx', '-p', '{}', '-c', '{}/nginx.conf', '-g', 'daemon off;'],
    'named': ['named', '-g', '-c', '{}/named.conf'],
    'postgres': ['runuser', '-u', 'postgres', '--', '{}/postgres', '-D', '{}/pg', '-k', '{}',
                 '-h', ''],
    'mariadbd': ['mariadbd', '--no-defaults', '--user=root', '--datadir={}/my',
                 '--socket={}/my.sock', '--skip-networking'],
    'python3': ['/usr/bin/python3', '-c', 'import threading, time\nfor i in range(4):\n threading.Thread('
                'target=time.sleep, args=(1000,)).start()\n'],
}


def configure(name, folder):
    def write(path, text):
        with open(os.path.join(folder, path), 'w') as f:
            f.write(text)
    os.chmod(folder, 0o755)
    if name == 'nginx':
        write('nginx.conf', f'pid {folder}/nginx.pid; error_log {folder}/log; events {{}}\n'
              f'http {{ access_log off; server {{ listen unix:{folder}/n.sock; }} }}\n')
    elif name == 'named':
        write('named.conf', f'options {{ directory "{folder}"; pid-file none; session-keyfile '
              'none; listen-on port 5399 { 127.0.0.1; }; listen-on-v6 { none; }; };\n'
              'controls {};\n')
    elif name == 'mariadbd':
        sh('mariadb-install-db', '--no-defaults', '--user=root', f'--datadir={folder}/my',
           '--auth-root-authentication-method=normal')
    elif name == 'postgres':
        versions = sorted(os.listdir('/usr/lib/postgresql'))
        bin_ = f'/usr/lib/postgresql/{versions[-1]}/bin'
        os.symlink(bin_ + '/postgres', folder + '/postgres')
        shutil.chown(folder, 'postgres')
        sh('runuser', '-u', 'postgres', '--', bin_ + '/initdb', '-D', folder + '/pg')


def family(pid):
    """The process and all that it has begotten."""
    out = subprocess.run(['ps', '-eo', 'pid=,ppid='], capture_output=True, text=True).stdout
    pairs = [tuple(map(int, line.split())) for line in out.splitlines()]
    found = [pid]
    for one in found:
        found += [child for child, parent in pairs if parent == one]
    return found


def comm(pid):
    try:
        return open(f'/proc/{pid}/comm').read().strip()
    except OSError:
        return ''


class Daemon:
    """A daemon, running and idle; pids: it and what it has begotten."""

    def __init__(self, name, folder):
        command = [word.replace('{}', folder) for word in DAEMONS[name]]
        if name == 'postgres' and not os.path.isdir('/usr/lib/postgresql') or \
                name != 'postgres' and not shutil.which(command[0]):
            raise Skip(f'{name} is not installed')
        configure(name, folder)
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder,
                                        stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        time.sleep(4 if name in ('mariadbd', 'named', 'postgres') else 1.5)
        self.pids = [p for p in family(self.process.pid) if comm(p) not in ('runuser', '')]
        need(self.pids and self.process.poll() is None, f'{name} does not run')

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        for pid in reversed(family(self.process.pid)):
            try:
                os.kill(pid, signal.SIGTERM)
            except OSError:
                pass
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def run_daemon(stitch, folder, name, snapshot):
    with Daemon(name, folder) as daemon:
        for pid in daemon.pids:
            for thread in threads_of(stitch, pid):
                sound(thread)
            if snapshot:
                sh(snapshot, os.path.join(os.environ['STACKS_RECORD'], f'{name}-{pid}'), str(pid))


def main():
    stitch = Stitch(sys.argv[1])
    suite = Suite('stacks')
    add_cases(suite, stitch)
    for name, function in sorted(globals().items()):
        if name.startswith('test_'):
            suite.add(name[5:], lambda folder, f=function: f(stitch, folder))
    snapshot = os.environ.get('STACKS_SNAPSHOT')
    for name in DAEMONS:
        suite.add(f'idle {name}', lambda folder, n=name: run_daemon(stitch, folder, n, snapshot))
    return suite.run(sys.argv[2:])


if __name__ == '__main__':
    sys.exit(main())
