#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Each file of tests/cases, and each pair of tests/pairs, is built into a patch, the patch is compared with what
it must be, and, unless it must be refused, applied to the running, stripped
program, which checks itself before, with and after it.

Directives in a case's head:
  EXPECT: carried NAME,...    the functions that the patch must replace
  EXPECT: refused REASON      stitch build must refuse, with that reason
  APPLY: refused REASON       the patch is right, applying it must be refused
  BUILDS: FLAGS; FLAGS...     compiled in each of these ways (default -O2)
  LIBRARY                     the case is a shared library
  SECOND: FILE                one more file of the program
  ADD: FILE                   a file that the fix adds
  REASON: FUNCTION TEXT       what the patch says why it carries a function
  LINE: SIGN NUMBER NAME,...  which functions the patch says to carry a line of the diff
                              (+: of the new file, -: of the old one), or none
  NEW: N                      the patch must add that many functions
  NOTE: KIND [NAME...]        the patch must say that (of each name, and of no other)
"""
import os
import re
import shlex
import sys

sys.path.insert(0, os.path.dirname(__file__))
from harness import ONCE, Program, Stitch, Suite, diff_trees, need, sh  # noqa: E402

CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'cases')
PAIRS = os.path.join(os.path.dirname(CASES), 'pairs')
MAIN = '#include "live.h"\n'
FULL = bool(os.environ.get('PAIRS_FULL'))


class Case:
    def __init__(self, name, text=None):
        self.name = name
        self.is_pair = text is not None
        self.text = text or open(os.path.join(CASES, name)).read()
        self.expect, self.apply, self.new, self.note = None, None, None, None
        self.reasons, self.lines = [], []
        self.builds, self.library, self.second, self.add = ['-O2'], False, None, None
        for key, value in re.findall(r'^// ([A-Z]+)(?:: (.*))?$', self.text, re.M):
            if key == 'EXPECT':
                self.expect = value.split(' ', 1)
            elif key == 'APPLY':
                self.apply = value.split(' ', 1)[1]
            elif key == 'BUILDS':
                self.builds = [b.strip() for b in value.split(';')]
            elif key == 'LIBRARY':
                self.library = True
            elif key == 'SECOND':
                self.second = value
            elif key == 'ADD':
                self.add = value
            elif key == 'NEW':
                self.new = int(value)
            elif key == 'REASON':
                self.reasons.append(value.split(' ', 1))
            elif key == 'LINE':
                self.lines.append(value.split())
            elif key == 'NOTE':
                self.note = value.split()

    def version(self, new, text=None):
        drop, keep = ('//-', '//+') if new else ('//+', '//-')
        lines = []
        for line in (text or self.text).splitlines():
            if line.startswith('// '):
                lines.append('')
            elif line.rstrip().endswith(keep):
                lines.append(line.rstrip()[:-3].rstrip())
            elif not line.rstrip().endswith(drop):
                lines.append(line)
        return '\n'.join(lines) + '\n'


def build_script(case, flags):
    words = flags.split()
    cxx = case.name.endswith('.cc')
    compiler = words.pop(0) if not words[0].startswith('-') else ('g++' if cxx else 'gcc')
    flags = ' '.join(words)
    objects, lines = ['case.o'], ['set -e']
    pic = ' -fPIC' if case.library else ''
    lines.append(f'{compiler} {flags}{pic} -c {case.name} -o case.o')
    if case.second:
        lines.append(f'{compiler} {flags} -c {case.second} -o second.o')
        objects.append('second.o')
    if case.add:
        lines.append(f'if test -e {case.add}; then {compiler} {flags} -c {case.add} -o add.o; fi')
        objects.append('$(ls add.o 2>/dev/null)')
    objects = ' '.join(objects)
    if case.library:
        lines.append(f'{compiler} {flags} -shared -Wl,-soname,libcase.so {objects} -o libcase.so')
        lines.append(f'{compiler} {flags} main.c -L. -lcase -o prog')
    else:
        lines.append(f'{compiler} {flags} {objects} -o prog')
    return '\n'.join(lines) + '\n'


def write_tree(case, folder, flags, new):
    os.makedirs(folder)
    files = {case.name: case.version(new), 'build.sh': build_script(case, flags),
             'live.h': open(os.path.join(CASES, 'live.h')).read()}
    if case.library:
        files['main.c'] = MAIN
    if case.second:
        files[case.second] = case.version(new, open(os.path.join(CASES, case.second)).read())
    if case.add and new:
        files[case.add] = open(os.path.join(CASES, case.add)).read()
    for name, text in files.items():
        with open(os.path.join(folder, name), 'w') as f:
            f.write(text)


def run_live(case, stitch, slp, folder, binary):
    env = dict(os.environ, LD_LIBRARY_PATH=folder)
    with Program([os.path.join(folder, 'prog')], env=env) as prog:
        prog.check(0, 'before')
        if case.apply:
            stitch.refused(case.apply, 'apply', prog.pid, slp)
            prog.check(0, 'after a refusal')
            need(not stitch.json('list')['processes'] or
                 all(p['pid'] != prog.pid for p in stitch.json('list')['processes']),
                 'a refused patch left something behind')
            return
        stitch.ok('check', prog.pid, slp)
        prog.check(0, 'after check')
        for _ in range(1 if stitch.has_sanitizers else 2):
            stitch.ok('apply', '-t', '30', prog.pid, slp)
            prog.check(1, 'with the patch')
            prog.check(1, 'with the patch, again')
            stitch.ok('status', prog.pid)
            stitch.ok('revert', '-t', '30', prog.pid)
            prog.check(0, 'reverted')


def check_explanation(case, shown):
    reasons = {f['name']: f['reason'] for o in shown['objects'] for f in o['functions']}
    for name, text in case.reasons:
        need(reasons[name] == text, f'{name}: {reasons[name]}')
    for sign, number, names in case.lines:
        rows = [r for r in shown['lines'] if r['removed'] == (sign == '-') and
                r['first'] <= int(number) <= r['last']]
        need(len(rows) == 1 and (','.join(sorted(rows[0]['functions'])) or
                                ('macro' if rows[0].get('macro') else 'none')) == names,
             f'{sign}{number}: {rows} of {shown["lines"]}')


def run_case(case, stitch, flags, folder):
    source, patched, running = (os.path.join(folder, n) for n in ('source', 'new', 'run'))
    slp = os.path.join(folder, 'fix.slp')
    write_tree(case, source, flags, False)
    write_tree(case, patched, flags, True)
    diff_trees(folder, 'source', 'new')
    # What runs is another build, stripped, as a distribution ships it.
    write_tree(case, running, flags, False)
    sh('sh', 'build.sh', cwd=running)
    binary = os.path.join(running, 'libcase.so' if case.library else 'prog')
    sh('strip', binary)
    build = ['build', '--source', source, '--patch', os.path.join(folder, 'fix.patch'),
             '--binary', binary, '-o', slp, '--', 'sh', 'build.sh']
    if case.expect[0] == 'refused':
        stitch.refused(case.expect[1], *build, env=ONCE)
        need(not os.path.exists(slp), 'a refused build left a patch file')
        return
    stitch.ok(*build, env=ONCE)
    shown = stitch.json('show', slp)
    names = [f['name'] for o in shown['objects'] for f in o['functions']]
    need(sorted(names) == sorted(case.expect[1].split(',')),
         f'carried {sorted(names)}, must be {case.expect[1]}')
    if case.note:
        texts = [n['text'] for n in shown['notes'] if n['kind'] == case.note[0]]
        need(texts and all(any(t.startswith(n + ' ') for t in texts) for n in case.note[1:]) and
             len(texts) == (len(case.note) - 1 or len(texts)),
             f'not the notes {case.note}: {shown["notes"]}')
    check_explanation(case, shown)
    run_live(case, stitch, slp, running, binary)


def all_cases():
    """Each file of cases/, and each part of pairs/ behind a line that names it."""
    cases = [Case(name) for name in sorted(os.listdir(CASES)) if name.endswith(('.c', '.cc'))]
    for ending in ('.c', '.cc'):
        text = open(os.path.join(PAIRS, 'pairs' + ending)).read()
        parts = re.split(r'^// PAIR: (.*)$', text, flags=re.M)
        cases += [Case(name + ending, body) for name, body in zip(parts[1::2], parts[2::2])]
    return [case for case in cases if case.expect]


def main():
    stitch = Stitch(sys.argv[1])
    suite = Suite('cases')
    for number, case in enumerate(all_cases()):
        # Sanitizers look at the tool, which other flags of the compiler hardly change, and for
        # which one small difference is much like another.
        if stitch.has_sanitizers and case.is_pair and number % 3 and not FULL:
            continue
        for flags in case.builds[:1 if stitch.has_sanitizers else None]:
            suite.add(f'{case.name} {flags}',
                      lambda folder, c=case, f=flags: run_case(c, stitch, f, folder))
    return suite.run(sys.argv[2:])


if __name__ == '__main__':
    sys.exit(main())
