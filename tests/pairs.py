#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
usage: pairs.py STITCH [NAME...]

Each case and pair with each compiler, as far as the builder goes: what it carries or why it
refuses (tests/cases.py runs them, too).  A change that yields no patch and no refusal is
found; so is a patch where nothing changed, at every level of optimization.

Each is tried with one more: every second one with clang, the others with one of the three cross
compilers in turn (what GCC makes of it on the host is run by tests/cases.py); with PAIRS_FULL=1
all with all.

Directives beside those of tests/cases.py:
  EXPECT NAME: ...  with the compilers whose name has NAME in it
  ONLY: NAME...     for compilers whose names have one of these in them
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(__file__))
from cases import FULL, all_cases, build_script, write_tree  # noqa: E402
from harness import ONCE, Stitch, Suite, diff_trees, need  # noqa: E402

COMPILERS = {'gcc': 'g++', 'clang': 'clang++',
             'aarch64-linux-gnu-gcc': 'aarch64-linux-gnu-g++',
             's390x-linux-gnu-gcc': 's390x-linux-gnu-g++',
             'powerpc64le-linux-gnu-gcc': 'powerpc64le-linux-gnu-g++'}
CROSS = [name for name in COMPILERS if name.endswith('-linux-gnu-gcc')]
LEVELS = ('-O0', '-O1', '-O2', '-O3', '-Os')


def expected(case, compiler):
    for name, value in re.findall(r'^// EXPECT (\S+): (.*)$', case.text, re.M):
        if name in compiler:
            return value.split(' ', 1)
    return case.expect


def is_for(case, compiler):
    only = re.search(r'^// ONLY: (.*)$', case.text, re.M)
    return not only or any(name in compiler for name in only[1].split())


def build(stitch, case, folder, flags, new):
    """The result of stitch build of the case, new being what the second build is made of."""
    write_tree(case, os.path.join(folder, 'source'), flags, False)
    write_tree(case, os.path.join(folder, 'new'), flags, new)
    if not new:
        with open(os.path.join(folder, 'new', case.name), 'a') as f:
            f.write('/* nothing that a compiler sees */\n')
    diff_trees(folder, 'source', 'new')
    made = 'libcase.so' if case.library else 'prog'
    return stitch.run('build', '--source', os.path.join(folder, 'source'), '--patch',
                      os.path.join(folder, 'fix.patch'), '-o', os.path.join(folder, 'fix.slp'),
                      '--', 'sh', '-c', f'sh build.sh && test -e {made}', env=ONCE)


def reason_of(done):
    found = re.findall(r'\[([a-z-]+)\]\s*$', done.stderr)
    return found[-1] if found else done.stderr


def test_pair(stitch, case, compiler, flags, folder):
    kind, what = expected(case, compiler)
    done = build(stitch, case, folder, f'{compiler} {flags}', True)
    if kind == 'refused':
        need(done.returncode and reason_of(done) == what,
             f'{reason_of(done) if done.returncode else "a patch"}, must be refused: {what}')
        return
    need(done.returncode == 0, reason_of(done) + ': ' + done.stderr.strip())
    shown = stitch.json('show', os.path.join(folder, 'fix.slp'))
    names = {f['name'] for o in shown['objects'] for f in o['functions']}
    need(names == set(what.split(',')), f'carried {",".join(sorted(names))}, must be {what}')


def test_nothing(stitch, case, compiler, flags, folder):
    done = build(stitch, case, folder, f'{compiler} {flags}', False)
    need(done.returncode and reason_of(done) == 'nothing-to-patch',
         f'nothing changed, and: {done.stdout or reason_of(done)}')


def plain_flags(case):
    """Of its first build, without a compiler's name."""
    words = case.builds[0].split()
    return ' '.join(words if words[0].startswith('-') else words[1:])


def has_turn(number, name):
    if FULL or name == 'gcc':
        return True
    return name == (CROSS[number // 2 % len(CROSS)] if number % 2 == 0 else 'clang')


def main():
    stitch = Stitch(sys.argv[1])
    suite = Suite('pairs')
    for number, case in enumerate(all_cases()):
        for c, cxx in COMPILERS.items():
            # What is for some compilers only is tried with each of them.
            if not has_turn(number, c) and not re.search(r'^// (ONLY: |EXPECT \S+: )', case.text,
                                                         re.M):
                continue
            compiler = cxx if case.name.endswith('.cc') else c
            # Those of the host's GCC are tests/cases.py's, which run what was built.
            if is_for(case, compiler) and compiler not in ('gcc', 'g++'):
                suite.add(f'{case.name} {compiler}', lambda folder, c=case, x=compiler:
                          test_pair(stitch, c, x, plain_flags(c), folder))
    # Sources of some size and of every kind of data.
    for case in all_cases():
        if case.name in ('switch_table.c', 'cxx_virtual.cc', 'static_local.c', 'clone.c',
                         'exception.cc', 'cold.c'):
            for c, cxx in COMPILERS.items():
                compiler = cxx if case.name.endswith('.cc') else c
                for number, level in enumerate(LEVELS):
                    if not has_turn(number, c):
                        continue
                    suite.add(f'nothing {case.name} {compiler} {level}',
                              lambda folder, c=case, x=compiler, o=level:
                              test_nothing(stitch, c, x, o, folder))
    return suite.run(sys.argv[2:])


if __name__ == '__main__':
    sys.exit(main())
