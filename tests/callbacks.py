#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Callbacks, shadow variables and system states: the scenarios of the kernel's selftests
(test-callbacks.sh, test-shadow-vars.sh, test-state.sh) that need no object to come or
go, each held against the order in which the program was told; and what the kernel's
callbacks do not meet: the death of the tool, faults, threads with much to lose.
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from harness import PATIENCE, Program, need, run_suite  # noqa: E402
from live import SLOW, both, end, follow, make, state_of, under_signals, wait_for  # noqa: E402

ENABLE, DISABLE = '[pre:prog post:prog]', '[pre_un:prog post_un:prog]'
STEPS = ('arena-map', 'callback', 'call-send', 'call-sent', 'callback-done', 'runtime-map',
         'runtime-mapped', 'runtime-unmap', 'switch', 'settle', 'armed', 'restore', 'unmap')


def build(stitch, folder, name='fix', f=5, edit=None, how=(), flags='-O2 -pthread'):
    return make(stitch, folder, 'callbacks', slp=name + '.slp', how=how, flags=flags,
                edit=lambda t: (edit(t) if edit else t).replace('FIX_F', str(f)))


class Told(Program):
    def told(self, wanted, when):
        seen = self.ask('story') or f'the program {self.death()}'
        need(seen == wanted, f'{when}: {seen}, must be {wanted}')


def program(prog):
    p = Told([prog])
    return p


def check(p, f, when):
    need(p.ask('check 0') == ('ok' if f is None else f'f(1) is {1 + f}, not 2'),
         f'{when}: {p.ask("check 0")}')


def test_order(stitch, folder):
    """Selftests 6 and 10: pre, post; pre_un, post_un; the memory goes back."""
    prog, slp = build(stitch, folder)
    shown = stitch.ok('show', slp)
    need(shown.stdout.count('callback ') == 4, shown.stdout)
    with program(prog) as p:
        p.check(0)
        before = len(open(f'/proc/{p.pid}/maps').readlines())
        for _ in range(3 if SLOW else 10):
            stitch.ok('apply', p.pid, slp)
            p.told(ENABLE, 'applied')
            check(p, 5, 'applied')
            stitch.ok('revert', p.pid)
            p.told(DISABLE, 'reverted')
            check(p, None, 'reverted')
        after = open(f'/proc/{p.pid}/maps').read()
        need(len(after.splitlines()) == before, f'memory is left: {after}')


def test_both(stitch, folder):
    """A program and its library in one patch: callbacks of each, and data that they share."""
    prog, slp = both(stitch, folder, 'two', 'both_told')
    with Told([prog]) as p:
        for _ in range(2 if SLOW else 3):
            p.check(0)
            stitch.ok('apply', '-t', PATIENCE, p.pid, slp)
            story = p.ask('story').split()
            need(sorted(story) == ['pre:libone.so', 'pre:prog'], f'applied: {story}')
            p.check(1)
            stitch.ok('revert', '-t', PATIENCE, p.pid)
            told = p.ask('story').split()
            need([x.replace('post_un', 'pre') for x in told] == story, f'reverted: {told}')


WITH_CALLBACKS = '''
#include <stitch/livepatch.h>
static int pre(struct klp_object *obj) { (void)obj; return 0; }
static void post(struct klp_object *obj) { (void)obj; }
KLP_PRE_PATCH_CALLBACK(pre)
KLP_POST_PATCH_CALLBACK(post)
KLP_PRE_UNPATCH_CALLBACK(post)
KLP_POST_UNPATCH_CALLBACK(post)
'''


def test_signals(stitch, folder):
    """The only thread is lent for callbacks while signals wait for it: none is swallowed."""
    prog, slp = make(stitch, folder, 'signals', edit=lambda text: text + WITH_CALLBACKS)
    under_signals(stitch, prog, slp, 20000 // (4 if SLOW else 1), 4 if SLOW else 15)


def test_refusal(stitch, folder):
    """Selftest 11: pre_patch says no."""
    prog, slp = build(stitch, folder)
    with program(prog) as p:
        p.ask('answer -19')
        before = len(open(f'/proc/{p.pid}/maps').readlines())
        done = stitch.refused('callback-refused', 'apply', p.pid, slp, status=4)
        need('-19, No such device' in done.stderr, done.stderr)
        p.told('[pre:prog]', 'refused')
        check(p, None, 'refused')
        need(len(open(f'/proc/{p.pid}/maps').readlines()) == before, 'memory is left')
        p.ask('answer 0')
        stitch.ok('apply', p.pid, slp)
        p.told(ENABLE, 'allowed')


def test_fault_in_callback(stitch, folder):
    """A callback that faults is broken off; the program goes on."""
    prog, slp = build(stitch, folder)
    with program(prog) as p:
        p.ask('crash 1')
        for _ in range(5):
            done = stitch.refused('callback-refused', 'apply', p.pid, slp, status=4)
            need('Bad address' in done.stderr, done.stderr)
            p.told('[pre:prog]', 'broken off')
            check(p, None, 'broken off')
        p.ask('crash 0')
        stitch.ok('apply', p.pid, slp)
        p.told(ENABLE, 'applied')


def test_busy(stitch, folder):
    """Selftest 14: a thread in the function; reversed: post_unpatch only."""
    prog, slp = build(stitch, folder)
    with program(prog) as p:
        p.ask('sleep')
        stitch.ok('apply', '--no-wait', p.pid, slp)
        p.told('[pre:prog]', 'started')
        stitch.ok('cancel', p.pid)
        p.told('[post_un:prog]', 'reversed')
        check(p, None, 'reversed')
        worker = follow(stitch, 'apply', '-t', PATIENCE, p.pid, slp)
        wait_for(lambda: state_of(stitch, p) == 'enabling', 'not started')
        # Until it is waited for by its event: it goes straight back in.
        time.sleep(5 if SLOW else 0.2)
        p.ask('wake')
        status, text = end(worker)
        need(status == 0, text)
        p.told(ENABLE, 'woken')
        # The other way: it sleeps in the new function; pre_unpatch, and post_patch again.
        stitch.refused('busy', 'revert', '-t', '0.3', p.pid, status=3)
        p.told('[pre_un:prog post:prog]', 'could not leave')
        check(p, 5, 'could not leave')
        worker = follow(stitch, 'revert', '-t', PATIENCE, p.pid)
        wait_for(lambda: state_of(stitch, p) == 'disabling', 'not started')
        # Until it is waited for by its event: it goes straight back in.
        time.sleep(5 if SLOW else 0.2)
        p.ask('wake')
        status, text = end(worker)
        need(status == 0, text)
        p.told(DISABLE, 'left')


def test_several(stitch, folder):
    """Selftests 15 and 16: each patch's at its own transitions; a replaced one's never."""
    prog, one = build(stitch, folder, 'one', 10)
    _, two = build(stitch, folder, 'two', 20, edit=lambda t: t.replace('tell(0', "tell('2'"))
    _, all_ = build(stitch, folder, 'all', 30, how=['--replace'],
                    edit=lambda t: t.replace('tell(0', "tell('r'"))
    with program(prog) as p:
        for _ in range(1 if SLOW or stitch.has_sanitizers else 3):
            stitch.ok('apply', p.pid, one)
            stitch.ok('apply', p.pid, two)
            p.told('[pre:prog post:prog 2pre:prog 2post:prog]', 'two')
            stitch.ok('revert', p.pid, 'one')
            p.told(DISABLE, 'the older one')
            stitch.ok('apply', p.pid, all_)
            p.told('[rpre:prog rpost:prog]', 'replaced')
            check(p, 30, 'replaced')
            stitch.ok('revert', p.pid)
            p.told('[rpre_un:prog rpost_un:prog]', 'the last')
            check(p, None, 'the last')


def test_only_callbacks(stitch, folder):
    """A patch that replaces nothing and is told of both ends is a patch."""
    prog, slp = build(stitch, folder, f=1)
    need(not stitch.json('show', slp)['objects'][0]['functions'], 'a function changed')
    with program(prog) as p:
        stitch.ok('apply', p.pid, slp)
        p.told(ENABLE, 'applied')
        stitch.ok('status', p.pid)
        stitch.ok('revert', p.pid)
        p.told(DISABLE, 'reverted')


def test_killed_while_it_runs(stitch, folder):
    """The tool dies while pre_patch runs; it runs on, once, and the next tool waits for it."""
    prog, slp = build(stitch, folder)
    for verb in ('apply', 'revert'):
        with program(prog) as p:
            if os.path.exists(folder + '/go'):
                os.unlink(folder + '/go')
            p.ask('hang ' + folder + '/go')
            worker = follow(stitch, 'apply', p.pid, slp)
            wait_for(lambda p=p: state_of(stitch, p) == 'loading', 'not begun')
            time.sleep(3 if SLOW else 0.5)
            worker.kill()
            worker.wait()
            need(p.alive(), 'the program died')
            need(state_of(stitch, p) == 'loading', state_of(stitch, p))
            after = follow(stitch, verb, '-t', PATIENCE, p.pid, *([slp] if verb == 'apply' else []))
            time.sleep(0.3)
            need(after.poll() is None, 'nobody waits for the callback')
            open(folder + '/go', 'w').close()
            status, text = end(after)
            need(status == 0, text)
            p.told('[pre:prog post_un:prog' + (' pre:prog post:prog]' if verb == 'apply'
                                               else ']'), verb)


def test_hangs(stitch, folder):
    """A callback that does not return: said so, and nothing else has happened."""
    prog, slp = build(stitch, folder)
    with program(prog) as p:
        p.ask('hang ' + folder + '/go')
        done = stitch.run('apply', p.pid, slp)
        need(done.returncode and '[call-runs]' in done.stderr, done.stderr)
        need(state_of(stitch, p) == 'loading', state_of(stitch, p))
        open(folder + '/go', 'w').close()
        stitch.ok('apply', '-t', PATIENCE, p.pid, slp)
        check(p, 5, 'applied')
        need(p.ask('story').endswith(' pre:prog post:prog]'), 'applied')


def faults(stitch, folder, action):
    prog, slp = build(stitch, folder)
    for step in STEPS:
        hit = 0
        for reach in (1,) if SLOW or stitch.has_sanitizers else (1, 2):
            with program(prog) as p:
                when = f'{step}:{action}@{reach}'
                story = ''
                for verb in (['apply', p.pid, slp], ['revert', p.pid]):
                    done = stitch.run(*verb, fault=when)
                    hit += done.returncode == -9 or '[fault]' in done.stderr
                    need(p.alive(), f'{when}: the program died')
                    again = stitch.run(verb[0], '-t', PATIENCE, *verb[1:])
                    need(again.returncode == 0 or '[already-applied]' in again.stderr or
                         '[no-such-patch]' in again.stderr, f'{verb} {when}: {again.stderr}')
                    check(p, 5 if verb[0] == 'apply' else None, f'{verb} {when}')
                    story += ' ' + p.ask('story')[1:-1]
                # Each way in has its way out, and all is told once.
                names = [x.split(':')[0] for x in story.split()]
                need(names[-1] == 'post_un' and 'post' in names, f'{when}: {names}')
                depth, patched = 0, 0
                for name in names:
                    depth += {'pre': 1, 'post_un': -1}.get(name, 0)
                    patched += {'post': 1, 'pre_un': -1}.get(name, 0)
                    need(depth in (0, 1) and patched in (0, 1) and depth >= patched,
                         f'{when}: {names}')
                need(not depth and not patched, f'{when}: {names}')
                need(not [x for x in stitch.json('list')['processes'] if x['pid'] == p.pid],
                     f'{when}: something is left in the record')
        need(hit, f'{step} is never reached')


def test_faults_kill(stitch, folder):
    faults(stitch, folder, 'kill')


def test_faults_fail(stitch, folder):
    faults(stitch, folder, 'fail')


# ---- shadow variables and states ---------------------------------------------------------

def shadow(stitch, folder, name='fix', version=1, states=True, how=(), flags='-O2 -pthread'):
    def edit(text):
        text = text.replace('STATE_VERSION 1', f'STATE_VERSION {version}')
        return text if states else text.replace('#ifdef KLP_STATES', '#if 0')
    return make(stitch, folder, 'shadow', slp=name + '.slp', how=how, edit=edit, flags=flags)


def test_shadow(stitch, folder):
    """Selftest 17, by eight threads that make and free variables all the time."""
    made = []
    for flags in ('-O2 -pthread', '-O0 -pthread', '-O3 -pthread -fno-pie -no-pie'):
        where = os.path.join(folder, flags.replace(' ', ''))
        os.makedirs(where, exist_ok=True)
        made.append(shadow(stitch, where, flags=flags))
    for prog, slp in made:
        with program(prog) as p:
            for _ in range(3):
                stitch.ok('apply', '-t', PATIENCE, p.pid, slp)
                p.check(1, 'patched')
                time.sleep(0.3)
                p.check(1, 'patched')
                stitch.ok('revert', '-t', PATIENCE, p.pid)
                p.check(0, 'reverted')


def test_shadow_outlives(stitch, folder):
    """Shadow variables stay when their patch goes, for the next one."""
    keep = 'tell("prev", klp_shadow_get(&system_value, 9) ? 9 : 0); return 0;'
    prog, slp = make(stitch, folder, 'shadow', edit=lambda t: t.replace(
        'if (prev) own', keep + 'if (prev) own').replace(
            'klp_shadow_free_all(9, NULL);\n',
            'klp_shadow_alloc(&system_value, 9, 8, 0, NULL, NULL);\n').replace(
                'static void post(struct klp_object *obj) {', 'static void post(struct '
                'klp_object *obj) { if (obj) return;').replace(
                    'static void pre_un(struct klp_object *obj) {', 'static void pre_un('
                    'struct klp_object *obj) { if (obj) return;'))
    with program(prog) as p:
        for found in (0, 9, 9):
            stitch.ok('apply', '-t', PATIENCE, p.pid, slp)
            p.told(f'[prev=0 prev={found}]', 'applied')
            stitch.ok('revert', '-t', PATIENCE, p.pid)
            p.told('[freed=9]', 'reverted')


def test_states(stitch, folder):
    """Selftests 18 to 21."""
    prog, one = shadow(stitch, folder, 'one', 1, how=['--replace'])
    _, same = shadow(stitch, folder, 'same', 1, how=['--replace'])
    _, two = shadow(stitch, folder, 'two', 2, how=['--replace'])
    _, none = shadow(stitch, folder, 'none', states=False, how=['--replace'])
    _, beside = shadow(stitch, folder, 'beside', states=False)
    need(stitch.json('show', two)['states'] == [{'id': 9, 'version': 2}], 'show')
    with program(prog) as p:
        # Modification.
        stitch.ok('apply', '-t', PATIENCE, p.pid, one)
        p.told('[prev=0 changed=1000]', 'the first')
        need(p.ask('value') == '1000', 'changed')
        stitch.ok('revert', '-t', PATIENCE, p.pid)
        p.told('[restored=7 freed=9]', 'restored')
        need(p.ask('value') == '7', 'restored')
        # Taking over, and compatible ones both ways.
        stitch.ok('apply', '-t', PATIENCE, p.pid, one)
        stitch.ok('apply', '-t', PATIENCE, p.pid, same)
        stitch.ok('apply', '-t', PATIENCE, p.pid, one)
        stitch.ok('apply', '-t', PATIENCE, p.pid, two)
        p.told('[prev=0 changed=1000 prev=1 taken=7 prev=1 taken=7 prev=1 taken=7]', 'taken')
        # Incompatible ones: an older version, and one that does not know the state.
        for slp in (one, none):
            stitch.refused('incompatible-state', 'apply', p.pid, slp, status=4)
        p.told('[]', 'refused')
        need(p.ask('value') == '1000', 'refused')
        # One that replaces nothing need not know it.
        stitch.ok('apply', '-t', PATIENCE, p.pid, beside)
        stitch.ok('revert', '-t', PATIENCE, p.pid)
        stitch.ok('revert', '-t', PATIENCE, p.pid)
        p.told('[restored=7 freed=9]', 'restored by the last')
        need(p.ask('value') == '7', 'restored by the last')


if __name__ == '__main__':
    sys.exit(run_suite('callbacks', globals()))
