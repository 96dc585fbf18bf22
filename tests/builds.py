#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
usage: builds.py STITCH [NAME...]

What the second of the two builds does: it compiles what reads a changed file and nothing
else, or all where that is not enough; the patch is the same either way, to the byte.
"""
import glob
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from cases import CASES  # noqa: E402
from harness import Program, Skip, Stitch, Suite, diff_trees, need, sh  # noqa: E402

LIMITS = '#define LIMIT 100\n#define OTHER 5\n'
FUNCTION = ('{includes}\n__attribute__((noipa)) int {name}(int x);\n'
            '__attribute__((noipa)) int {name}(int x) {{ return x + {value}; }}\n')
MAIN = ('#include <stdio.h>\nint a(int); int b(int); int c(int);\n'
        'int main(void) { return printf("%d\\n", a(1) + b(1) + c(1)) < 0; }\n')
LINK = 'gcc -O2 main.o a.o b.o c.o -o prog'
COMPILE = 'set -e; for f in main a b c; do gcc -O2 -c $f.c; done; ' + LINK


def tree(**changes):
    """a.c reads limits.h through another header; b.c and c.c read nothing."""
    files = {'limits.h': LIMITS, 'through.h': '# include "limits.h"\n', 'main.c': MAIN,
             'a.c': FUNCTION.format(includes='#include <through.h>', name='a', value='LIMIT'),
             'b.c': FUNCTION.format(includes='', name='b', value='2'),
             'c.c': FUNCTION.format(includes='', name='c', value='3'),
             'Makefile': 'all:\n\techo -n\n', 'doc/index': 'text\n'}
    files.update({name.replace('__', '/').replace('_', '.'): text
                  for name, text in changes.items()})
    return files


def write(folder, files):
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(text)


def write_both(folder, old, new):
    """A tree, and the diff that makes another of it."""
    write(os.path.join(folder, 'old'), old)
    write(os.path.join(folder, 'new'), new)
    diff_trees(folder, 'old', 'new')


def write_run(folder, old, command):
    """The folder of what runs: built of a tree by a command."""
    run = os.path.join(folder, 'run')
    write(run, old)
    sh('sh', '-c', f'export CPATH=.; {command}', cwd=run)
    return run


def own_gcc(folder, first):
    """A PATH with a gcc in front that does something of its own first."""
    tools = os.path.join(folder, 'tools')
    write(tools, {'gcc': f'#!/bin/sh\n{first}\nexec /usr/bin/gcc "$@"\n'})
    os.chmod(os.path.join(tools, 'gcc'), 0o755)
    return tools + ':' + os.environ['PATH']


def need_ccache():
    if not shutil.which('ccache', path='/usr/bin:/usr/local/bin'):
        raise Skip('no ccache')


def build_args(folder):
    """Of the tree and the diff that write_both() has made."""
    return ('build', '--source', os.path.join(folder, 'old'), '--patch',
            os.path.join(folder, 'fix.patch'), '-o', os.path.join(folder, 'fix.slp'))


def build(stitch, folder, command, *options, env=None):
    done = stitch.ok(*build_args(folder), *options, '--', 'sh', '-c', command, env=env)
    with open(os.path.join(folder, 'fix.slp'), 'rb') as f:
        return done.stderr, f.read()


def compare(stitch, folder, old, new, command=COMPILE, diff=None):
    """
    The patch from old to new, made in both ways.  How many objects the quick one compiled,
    or why it was none; and the patch.
    """
    write_both(folder, old, new)
    command = f'export CPATH=.; {command}'
    if diff:
        with open(os.path.join(folder, 'fix.patch'), 'w') as f:
            f.write(diff)
    said, quick = build(stitch, folder, command)
    whole_said, whole = build(stitch, folder, command, '--full')
    need('2-patched: building' in whole_said and '1-original: as it was' in whole_said,
         whole_said)
    need(quick == whole, f'the patches differ: {said}')
    found = re.search(r'compiled again .*: (\d+) object', said)
    why = re.search(r'2-patched: all of it, for (.*)', said)
    need(bool(found) != bool(why), said)
    need(bool(why) == ('2-patched: building' in said), said)
    return (int(found[1]) if found else why[1]), stitch.json(
        'show', os.path.join(folder, 'fix.slp'))


def functions(shown):
    return {f['name'] for o in shown['objects'] for f in o['functions']}


def expect(result, how, names):
    need(result[0] == how, f'{result[0]}, must be: {how}')
    need(functions(result[1]) == names, f'{functions(result[1])}, must be {names}')


CHANGED = LIMITS.replace('100', '200')


def test_source(stitch, folder):
    old = tree()
    expect(compare(stitch, folder, old, {**old, 'b.c': old['b.c'].replace('2', '7')}), 1, {'b'})


def test_header(stitch, folder):
    """Through another one, and not who does not read it."""
    expect(compare(stitch, folder, tree(), tree(limits_h=CHANGED)), 1, {'a'})


def test_second_fix(stitch, folder):
    """Nothing of the first build is made again, and nothing of the first fix stays."""
    old = tree()
    expect(compare(stitch, folder, old, {**old, 'b.c': old['b.c'].replace('2', '7')}), 1, {'b'})
    said = compare(stitch, folder, old, {**old, 'c.c': old['c.c'].replace('3', '9')})
    expect(said, 1, {'c'})


def test_macro(stitch, folder):
    """What a macro names may be anything."""
    c = FUNCTION.format(includes='#define WHAT "limits.h"\n#include WHAT', name='c',
                        value='LIMIT')
    expect(compare(stitch, folder, tree(c_c=c), tree(c_c=c, limits_h=CHANGED)), 2, {'a', 'c'})


def test_forced(stitch, folder):
    command = COMPILE.replace('-c $f.c', '-include limits.h -c $f.c')
    b = FUNCTION.format(includes='', name='b', value='LIMIT')
    expect(compare(stitch, folder, tree(b_c=b), tree(b_c=b, limits_h=CHANGED), command), 4,
           {'a', 'b'})


def test_arguments(stitch, folder):
    """What is in a file of arguments is not known."""
    command = 'echo "-include limits.h" >args; ' + COMPILE.replace('-c $f.c', '@args -c $f.c')
    b = FUNCTION.format(includes='', name='b', value='LIMIT')
    expect(compare(stitch, folder, tree(b_c=b), tree(b_c=b, limits_h=CHANGED), command), 4,
           {'a', 'b'})


def test_assembler(stitch, folder):
    """Another file's bytes."""
    asm = '.section .rodata\n.globl table\ntable: .incbin "c.h"\n'
    old = tree(t_s=asm, c_h='abc\n')
    old['c.c'] = ('extern const unsigned char table[];\n' +
                  FUNCTION.format(includes='', name='c', value='table[0]'))
    command = COMPILE.replace(LINK, 'gcc -c t.s; ' + LINK.replace('c.o', 'c.o t.o'))
    new = {**old, 'c.h': 'xbc\n', 'b.c': old['b.c'].replace('2', '7')}
    how, shown = compare(stitch, folder, old, new, command)
    need(how == 2 and 'b' in functions(shown), f'{how} {shown}')


def test_link(stitch, folder):
    """A link with another name."""
    command = 'ln -s limits.h named.h; ' + COMPILE
    c = FUNCTION.format(includes='#include "named.h"', name='c', value='LIMIT')
    expect(compare(stitch, folder, tree(c_c=c), tree(c_c=c, limits_h=CHANGED), command), 2,
           {'a', 'c'})


def test_copy(stitch, folder):
    """The build copies headers to where they are read: the copies change, too."""
    command = 'mkdir made; cp limits.h made/public.h; ' + COMPILE
    c = FUNCTION.format(includes='#include "made/public.h"', name='c', value='LIMIT')
    expect(compare(stitch, folder, tree(c_c=c), tree(c_c=c, limits_h=CHANGED), command), 2,
           {'a', 'c'})


def test_generator(stitch, folder):
    """A script makes a source from one that changes."""
    command = ('(echo "/* from limits.h */"; sed -n "s/LIMIT/MADE/p" limits.h) >made.h; ' +
               COMPILE)
    c = FUNCTION.format(includes='#include "made.h"', name='c', value='MADE')
    expect(compare(stitch, folder, tree(c_c=c), tree(c_c=c, limits_h=CHANGED), command),
           'made.h is made by the build from a file that changes', {'a', 'c'})


def test_changed_by_build(stitch, folder):
    command = 'sed -i s/OTHER/ANOTHER/ limits.h; ' + COMPILE
    expect(compare(stitch, folder, tree(), tree(limits_h=CHANGED), command),
           'limits.h is changed by the build', {'a'})


def test_flavours(stitch, folder):
    """What a file reads is another at the end of the build than when it was compiled."""
    command = ('echo "#define SIZE 7" >config.h; gcc -O2 -c c.c; mv c.o other.o; '
               'echo "#define SIZE 8" >config.h; ' + COMPILE + '; gcc -O2 -c c.c -o c.o; '
               'echo "#define SIZE 9" >config.h')
    c = FUNCTION.format(includes='#include "config.h"\n#include "limits.h"', name='c',
                        value='SIZE + LIMIT')
    expect(compare(stitch, folder, tree(c_c=c), tree(c_c=c, limits_h=CHANGED), command),
           'c.o comes out otherwise at the end of the build', {'a', 'c'})


def test_new_file(stitch, folder):
    old = tree()
    new = {**old, 'new.h': '#define NEW 8\n',
           'b.c': FUNCTION.format(includes='#include "new.h"', name='b', value='NEW')}
    expect(compare(stitch, folder, old, new), 'new.h is new', {'b'})


def test_new_sources(stitch, folder):
    """Of the files that a fix adds those come along that the program is linked of: not a
    test's, and once what was compiled twice (for a static library)."""
    command = COMPILE.replace(
        LINK, 'test -e t.c && { gcc -O2 -c t.c; gcc t.o -o t; for f in n table; do '
        'gcc -O1 -fPIC -c $f.c -o $f.pic.o; gcc -O2 -c $f.c; done; ar rc libn.a *.pic.o; }; '
        'gcc -O2 main.o a.o b.o c.o $(ls n.o table.o 2>/dev/null) -o prog')
    old = tree()
    new = {**old, 't.c': 'static int t(void) { return 7; }\nint main(void) { return t(); }\n',
           'n.c': 'extern const int table[4];\nint n(int x);\n'
                  'int n(int x) { return table[x & 3]; }\n',
           'table.c': 'extern const int table[4];\nconst int table[4] = { 4, 5, 6, 7 };\n',
           'b.c': 'int n(int x);\n' + FUNCTION.format(includes='', name='b', value='n(x)')}
    shown = compare(stitch, folder, old, new, command)[1]
    need(functions(shown) == {'b'}, f'{functions(shown)}')
    notes = ' '.join(note['text'] for note in shown['notes'])
    need('t.o is new but is not in prog' in notes, notes)
    said = stitch.ok(*build_args(folder), '--', 'sh', '-c', f'export CPATH=.; {command}').stdout
    need(', adds 1 (' in said, said)


def test_fails_again(stitch, folder):
    """A compiler that does not make a section of each function: what it said is told."""
    old = tree()
    path = own_gcc(folder, 'case "$*" in *-ffunction-sections*) echo no sections here >&2; '
                           'exit 1 ;; esac')
    write_both(folder, old, {**old, 'b.c': old['b.c'].replace('2', '7')})
    done = stitch.refused('build-failed', *build_args(folder), '--', 'sh', '-c',
                          f'export CPATH=.; {COMPILE}',
                          env={'PATH': path})
    need('compiling b.c again' in done.stderr and 'no sections here' in done.stderr, done.stderr)


def test_grown_in_another(stitch, folder):
    """The structure that the diff changes is named, and not one that has it as a member."""
    header = ('struct seal { int length;{} };\nstruct letter { struct seal seal; int pages; };\n'
              'struct mail { char cover[200]; struct letter letters[2]; int stamps; };\n')
    b = ('#include "limits.h"\nstruct mail *mails;\n__attribute__((noipa)) int b(int x);\n'
         '__attribute__((noipa)) int b(int x) { return mails ? mails[x].stamps : x; }\n')
    old = tree(b_c=b, limits_h=LIMITS + header.replace('{}', ''))
    write_both(folder, old, {**old, 'limits.h': LIMITS + header.replace('{}', ' int colour;')})
    command = ('--', 'sh', '-c', f'export CPATH=.; {COMPILE}')
    for allowed, named in (((), 'seal'), (('seal',), 'letter'), (('seal', 'letter'), 'mail')):
        layouts = [word for name in allowed for word in ('--allow-layout', f'struct {name}')]
        done = stitch.refused('changed-layout', *build_args(folder), *layouts, *command,
                              env={'STITCH_FIX_PATCHES': 'one.patch two.patch'})
        need(f'stitch: struct {named}: it' in done.stderr, done.stderr)
        need('--only' in done.stderr and ': one.patch two.patch\n' in done.stderr, done.stderr)
    # More than a signed byte holds.
    need('letters was at byte 200 (16 bytes) and is at byte 200 (24)' in done.stderr, done.stderr)


def test_binaries(stitch, folder):
    """Several are given: each that the change is in has a patch, and of equals the first one
    given has the name that was asked for."""
    command = COMPILE + ('; gcc -O2 -c d.c; gcc -O2 main.o a.o b.o c.o -Wl,--defsym,twin=0 '
                         '-o twin')
    old = tree(d_c='int d(void) { return 3; }\n')
    write_both(folder, old, {**old, 'b.c': old['b.c'].replace('2', '7'),
                             'd.c': old['d.c'].replace('3', '4')})
    run = write_run(folder, old, command)
    for name in ('prog', 'twin', 'none'):
        os.makedirs(os.path.join(folder, name))
    for name in ('prog', 'twin'):
        shutil.copy(os.path.join(run, name), os.path.join(folder, name))
    shutil.copy('/bin/true', os.path.join(folder, 'none'))
    for first, second in (('prog', 'twin'), ('twin', 'prog'), ('none', 'twin')):
        build(stitch, folder, f'export CPATH=.; {command}', '--binary',
              os.path.join(folder, first), '--binary', os.path.join(folder, second))
        other = os.path.join(folder, f'fix.{second}.slp')
        made = [stitch.json('show', slp)
                for slp in (os.path.join(folder, 'fix.slp'), other) if os.path.exists(slp)]
        names = [shown['objects'][0]['name'] for shown in made]
        need(names == ([second] if first == 'none' else [first, second]), f'{first}: {names}')
        # What is in neither is said once.
        said = [any('d.o changes but is not in' in note['text'] for note in shown['notes'])
                for shown in made]
        need(said == [True, False][:len(made)], f'{said}')
        if first != 'none':
            # The second is compared with what had been compiled for the first.
            last = max(os.stat(each).st_mtime for each in
                       glob.glob(os.path.join(folder, 'fix.slp.work', '3-sections', '*.o')))
            need(last < os.stat(os.path.join(folder, 'fix.slp')).st_mtime, 'compiled again')
            os.unlink(other)


def test_probes(stitch, folder):
    """What configure asks the compiler goes to it and is not kept."""
    ask = 'mkdir -p {0}; cd {0}; echo "int main(void) {{ return {2}; }}" >{1}; ' \
          'gcc {1} -o out; ! ./out; gcc -c {1} -o out.o; echo "#error" >{1}; ! gcc -c {1}; '
    asks = ''.join(f'({ask.format(where, name, n)}) || exit 1; ' for n, (where, name) in
                   enumerate((('.', 'conftest.c'), ('CMakeFiles/CMakeScratch/TryCompile-1', 'x.c'),
                              ('meson-private/tmp1', 'testfile.c')), 1))
    old = tree()
    write_both(folder, old, {**old, 'b.c': old['b.c'].replace('2', '7')})
    build(stitch, folder, f'set -e; {asks} export CPATH=.; {COMPILE}')
    kept = []
    for path in glob.glob(os.path.join(folder, 'fix.slp.work', '1-original', 'capture', '*.json')):
        with open(path) as f:
            kept.append(json.load(f)['output'])
    need(sorted(kept) == ['a.o', 'b.o', 'c.o', 'main.o', 'prog'], f'kept: {sorted(kept)}')


def test_binaries_foreign(stitch, folder):
    """A folder, like a package, may have ELF files of other machines in it, of none (Guile's
    modules), and damaged ones."""
    old = tree()
    write_both(folder, old, {**old, 'b.c': old['b.c'].replace('2', '7')})
    run = write_run(folder, old, COMPILE)
    package = os.path.join(folder, 'package')
    os.makedirs(package)
    with open(shutil.copy(os.path.join(run, 'prog'), package), 'rb') as f:
        prog = f.read()
    for name, machine in (('extra.go', 0), ('firmware', 243)):   # EM_NONE, EM_RISCV
        with open(os.path.join(package, name), 'wb') as f:
            f.write(prog[:18] + machine.to_bytes(2, sys.byteorder) + prog[20:])
    with open(os.path.join(package, 'torn'), 'wb') as f:
        f.write(prog[:len(prog) // 2])
    said = build(stitch, folder, f'export CPATH=.; {COMPILE}', '--binary', package)[0]
    left_out = [line for line in said.splitlines() if 'left out' in line]
    need(len(left_out) == 1 and f'{package}/torn' in left_out[0], f'{left_out}')
    need(stitch.json('show', os.path.join(folder, 'fix.slp'))['objects'][0]['name'] == 'prog',
         'another object')


def test_binaries_unlike(stitch, folder):
    """A program of the tree whose rebuild is laid out otherwise has its patch all the same; one
    that is not like its rebuild is refused by name, and not passed over."""
    rest = ''.join(f'int e{n}(int x) {{ return x * {n} + e{n - 1}(x); }}\n' for n in range(1, 9))
    old = tree(e_c='int e0(int x) { return x; }\n' + rest)
    objects = 'main.o a.o b.o c.o e.o'
    command = f'export CPATH=.; {COMPILE}; gcc -O2 -c e.c; gcc {objects} -o more; ' \
        f'gcc {objects} -o other'
    write_both(folder, old, {**old, 'b.c': old['b.c'].replace('2', '7')})
    run = write_run(folder, old, f'{command}; gcc e.o c.o b.o a.o main.o -o more; '
                    f'gcc -O0 -c main.c a.c b.c c.c e.c; gcc {objects} -o other')
    binaries = [word for name in ('other', 'prog', 'more')
                for word in ('--binary', os.path.join(run, name))]
    done = stitch.run(*build_args(folder), *binaries, '--', 'sh', '-c', command)
    need(done.returncode == 4 and re.search('run/other: .*other, which runs, .*no-match',
                                            done.stderr), done.stderr)
    made = {name: functions(stitch.json('show', os.path.join(folder, f'fix{name}.slp')))
            for name in ('', '.more')}
    need(made == {'': {'b'}, '.more': {'b'}}, made)


def test_binaries_untouched(stitch, folder):
    """What changes is in a program alone that is not installed, as a test of the tree's; it
    may have most of its code in common with what is, or be nothing like it."""
    rest = ''.join(f'int e{n}(int x) {{ return x * {n} + e{n - 1}(x); }}\n' for n in range(1, 9))
    old = tree(t_c=FUNCTION.format(includes='', name='t', value='2'),
               e_c='int e0(int x) { return x; }\n' + rest)
    write_both(folder, old, {**old, 't.c': old['t.c'].replace('2', '7')})
    run = write_run(folder, old, f'{COMPILE}; gcc -O2 -c e.c; gcc main.o a.o b.o c.o e.o -o prog')
    for objects in ('main.o a.o b.o c.o e.o t.o', '-shared t.o'):
        command = f'export CPATH=.; {COMPILE}; gcc -O2 -c e.c; gcc -O2 -fPIC -c t.c; ' \
            f'gcc main.o a.o b.o c.o e.o -o prog; gcc {objects} -o tester'
        done = stitch.run(*build_args(folder), '--binary', os.path.join(run, 'prog'), '--',
                          'sh', '-c', command)
        need(done.returncode == 4 and 'tester alone' in done.stderr and
             '[no-match]' in done.stderr, f'{objects}: {done.stderr}')


def test_gone_file(stitch, folder):
    """By plain diff(1), which says no more than that it becomes empty."""
    command = 'test ! -e extra.h || export CFLAGS=-DEXTRA=1; ' + \
        COMPILE.replace('-c $f.c', '$CFLAGS -c $f.c')
    b = FUNCTION.format(includes='', name='b', value='\n#ifdef EXTRA\n2\n#else\n3\n#endif\n')
    old = tree(b_c=b, extra_h='#define X 1\n')
    expect(compare(stitch, folder, old, tree(b_c=b), command), 'extra.h goes', {'b'})


def test_build_file(stitch, folder):
    """A flag changes: no compiler reads that."""
    command = COMPILE.replace('-c $f.c', '$(cat flags) -c $f.c')
    b = FUNCTION.format(includes='', name='b', value='NUMBER')
    expect(compare(stitch, folder, tree(b_c=b, flags='-DNUMBER=2\n'),
                   tree(b_c=b, flags='-DNUMBER=3\n'), command),
           'flags is not only for compilers', {'b'})


def test_documentation(stitch, folder):
    """Of no consequence, by its name."""
    expect(compare(stitch, folder, tree(), tree(limits_h=CHANGED, doc__index='more\n',
                                                tests__new_c='int main() { return 0; }\n')), 1,
           {'a'})


def test_not_alone(stitch, folder):
    """What the build takes away again; which object it is, and what the compiler says."""
    old = tree()
    how, shown = compare(stitch, folder, old, {**old, 'b.c': old['b.c'].replace('2', '7')},
                         f'echo >t.h; gcc -include t.h -c b.c -o other.o; rm t.h; {COMPILE}')
    found = re.fullmatch(r'other\.o cannot be compiled alone \(log: (.*)\)', str(how))
    need(found, how)
    need(functions(shown) == {'b'}, functions(shown))
    # compare() has built it in whole behind that.
    need(found[1].startswith(folder) and found[1].endswith('/2-patched/again.log'), found[1])


def test_no_cache(stitch, folder):
    """Who wants no ccache says it as to ccache itself."""
    need_ccache()
    old = tree()
    write_both(folder, old, {**old, 'b.c': old['b.c'].replace('2', '7')})
    cache = os.path.join(folder, 'fix.slp.work', 'ccache')
    _, without = build(stitch, folder, COMPILE, env={'CCACHE_DISABLE': '1', 'CPATH': '.'})
    need(not os.path.exists(cache), 'a cache was used')
    shutil.rmtree(os.path.dirname(cache))
    _, cached = build(stitch, folder, COMPILE, env={'CPATH': '.'})
    need(os.path.exists(cache), 'no cache was used')
    need(cached == without, 'the patches differ')


def test_cache_asks_once(stitch, folder):
    """A source that ccache does not know is preprocessed by nobody but its compiler."""
    need_ccache()
    log = os.path.join(folder, 'log')
    path = own_gcc(folder, f'echo "$@" >>{log}')
    old = tree()
    write_both(folder, old, {**old, 'b.c': old['b.c'].replace('2', '7')})
    ways = {'': 0, '-MD -MP': 0, '-MMD': 4}
    made = set()
    for flags, preprocessed in ways.items():
        command = COMPILE.replace('gcc -O2 -c', f'gcc -O2 {flags} -c') + f'; cp {log} {log}.built'
        shutil.rmtree(os.path.join(folder, 'fix.slp.work'), ignore_errors=True)
        open(log, 'w').close()
        made.add(build(stitch, folder, command, env={'CPATH': '.', 'PATH': path})[1])
        with open(log + '.built') as f:
            calls = [line.split() for line in f]
        compiled = [c for c in calls if '-c' in c and '-E' not in c]
        need(len(compiled) == 4, f'{flags}: {calls}')
        need(sum('-E' in c for c in calls) == preprocessed, f'{flags}: {calls}')
        need(all(('-MD' in c) == (flags != '-MMD') for c in compiled), f'{flags}: {compiled}')
    need(len(made) == 1, 'the patches differ')
    need(not glob.glob(os.path.join(folder, 'fix.slp.work', '*', 'capture', 'reads-*')), 'lists')


def test_coverage(stitch, folder):
    """A program that is built once more to count its runs, as memcached's debug build is, is
    the same but for what the diff changes, though its objects have the time of day in them."""
    old = tree()
    twice = f'export CPATH=. CCACHE_DISABLE={{0}}; {COMPILE}; ' \
            f'for f in main a b c; do gcc -O2 {{1}} -c $f.c -o $f-debug.o; done; ' \
            f'gcc {{1}} *-debug.o -o debug'
    nothing = {**old, 'b.c': old['b.c'] + '#ifdef NOT_HERE\nint more = 1;\n#endif\n'}
    flags = '--coverage', '-fprofile-arcs -ftest-coverage', '-fprofile-generate'
    for flags, (disabled, *more) in itertools.product(flags, (['1'], ['', '--full'])):
        shutil.rmtree(os.path.join(folder, 'fix.slp.work'), ignore_errors=True)
        write_both(folder, old, nothing)
        done = stitch.run(*build_args(folder), *more, '--', 'sh', '-c',
                          twice.format(disabled, flags))
        need(done.returncode == 4 and '[nothing-to-patch]' in done.stderr and
             'all of it' not in done.stderr, f'{flags} {more}: {done.stderr}')


def test_killed(stitch, folder):
    """Whatever a tool that was killed left, the next build is as if it had not been."""
    old = tree()
    expect(compare(stitch, folder, old, {**old, 'b.c': old['b.c'].replace('2', '7')}), 1, {'b'})
    work = os.path.join(folder, 'fix.slp.work')
    for left in ('nothing', 'half a tree', 'a mark', 'a mark and half a tree'):
        shutil.rmtree(os.path.join(work, '2-patched'), ignore_errors=True)
        if 'mark' in left:
            with open(os.path.join(work, 'tree.is'), 'w') as f:
                f.write('1-original')
            build(stitch, folder, 'export CPATH=.; ' + COMPILE)
            shutil.rmtree(os.path.join(work, '2-patched'))
        if 'tree' in left:
            os.mkdir(os.path.join(work, 'tree'))
        said, _ = build(stitch, folder, 'export CPATH=.; ' + COMPILE)
        need('1-original: as it was' in said and 'compiled again' in said, f'{left}: {said}')


# Five processes: a shell, what it waits for, what nobody waits for, and who has left the
# session, with a child; the second shell is not to end by what a terminal sends to all.
LASTING = ('trap "" INT; echo $$ >>{pids}; sleep 301 & echo $! >>{pids}; '
           'setsid sh -c \'sleep 302 & echo $! >>{pids}; echo $$ >>{pids}; wait\' & '
           '(sleep 303 & echo $! >>{pids}); wait')


def is_running(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


def end_amid(stitch, folder, end):
    """Ends a tool whose build command runs; what of that is left, after a moment."""
    pids = os.path.join(folder, 'pids')
    tool = subprocess.Popen(
        [stitch.path, *build_args(folder), '--', 'sh', '-c', LASTING.format(pids=pids)],
        stderr=subprocess.DEVNULL, start_new_session=True)
    started = []
    for _ in range(3000):
        if len(started) == 5:
            break
        time.sleep(0.02)
        started = [int(pid) for pid in open(pids).read().split()] if os.path.exists(pids) else []
    need(len(started) == 5, 'the build command does not start')
    need(all(map(is_running, started)), f'some of {started} do not run')
    end(tool)
    tool.wait()
    said, _ = build(stitch, folder, 'export CPATH=.; ' + COMPILE)
    need(not any(map(is_running, started)), f'{list(filter(is_running, started))} run still')
    need('1-original: building' in said, said)
    os.unlink(pids)


def test_outlived(stitch, folder):
    """What a tool started ends with it, before another may begin; what it is killed with."""
    old = tree()
    expect(compare(stitch, folder, old, {**old, 'b.c': old['b.c'].replace('2', '7')}), 1, {'b'})
    for end in (lambda tool: tool.kill(), lambda tool: tool.terminate(),
                lambda tool: os.killpg(tool.pid, signal.SIGINT)):
        shutil.rmtree(os.path.join(folder, 'fix.slp.work', '1-original'))
        end_amid(stitch, folder, end)


def test_renamed(stitch, folder):
    diff = ('diff --git a/c.c b/d.c\nsimilarity index 100%\nrename from c.c\nrename to d.c\n'
            'diff --git a/limits.h b/limits.h\n--- a/limits.h\n+++ b/limits.h\n@@ -1,2 +1,2 @@\n'
            '-#define LIMIT 100\n+#define LIMIT 200\n #define OTHER 5\n')
    command = COMPILE.replace('a b c', 'a b; do gcc -O2 -c $f.c; done; for f in [cd]').replace(
        '$f.c;', '${f%.c}.c;').replace('[cd]', '[cd].c').replace(
            LINK, 'gcc -O2 main.o a.o b.o [cd].o -o prog')
    how = compare(stitch, folder, tree(), tree(), command, diff)
    need(how[0] == 'the diff does more than to change lines', how[0])


FRONT = ('static int counter = 77;\nstatic const int table[] = { 30, 10, 40, 10 };\n'
         'static __attribute__((noipa)) int helper(int x) { counter++; return table[x & 3]; }\n'
         'int front(int x);\nint front(int x) { int s = 0; for (int i = 0; i < x; i++)'
         ' s ^= helper(i) * i; return s; }\n')
# Two helpers of the same code, which only their callers tell apart; addresses kept over
# calls; a switch.
MATCHED = '''
#include <stdio.h>
#include <stdlib.h>
static int counter, others[40];
static const int table[] = { 3, 1, 4, 1 };
static __attribute__((noipa)) int helper(int x) { counter++; return table[x & 3]; }
__attribute__((noipa)) int walk(int x);
__attribute__((noipa)) int walk(int x)
{
	for (int i = 0; i < 40; i++) {
		others[i] += helper(x + i);
		printf("%d %d\\n", others[i], counter);
	}
	switch (x) {
	case 0: return puts("a");
	case 1: return puts("b") + 1;
	case 2: return rand();
	case 3: return puts("d") + others[7];
	case 4: return -4;
	default: return counter;
	}
}
int main(int argc, char **argv) { return walk(argc + CHANGE) + helper(atoi(argv[0])); }
'''


def matched(stitch, folder, compiler, flags):
    """What runs was linked with more in front of it, and is stripped."""
    for name, text in (('old', '1'), ('new', '2'), ('run', '1')):
        write(os.path.join(folder, name), {'case.c': MATCHED.replace('CHANGE', text),
                                           'front.c': FRONT})
    sh('sh', '-c', f'{compiler} {flags} front.c case.c -o prog && '
       f'{compiler.replace("gcc", "strip")} prog', cwd=os.path.join(folder, 'run'))
    diff_trees(folder, 'old', 'new')
    said, _ = build(stitch, folder, f'{compiler} {flags} case.c -o prog', '--binary',
                    os.path.join(folder, 'run', 'prog'))
    found = re.search(r'(\d+) of (\d+) functions found', said)
    need('function by function' in said and found and found[1] == found[2] and
         int(found[1]) >= 3, f'{compiler} {flags}: {said}')


def test_matched(stitch, folder):
    """Every function is found again in another link, on every architecture."""
    for machine in ('', 'aarch64-linux-gnu-', 's390x-linux-gnu-', 'powerpc64le-linux-gnu-'):
        for flags in ('-O2', '-Os', '-O3 -fPIE -pie'):
            matched(stitch, folder, machine + 'gcc', flags)


# A handler in what changes; who handles is to be found in what runs.
HANDLED = '''
#include <stdexcept>
#include "live.h"
NOINLINE int thrower(int x);
NOINLINE int thrower(int x) { if (x > 3) throw std::runtime_error("more"); return x; }
NOINLINE int handles(int x);
NOINLINE int handles(int x)
{
	try { return thrower(x) + CHANGE; } catch (const std::exception &e) { return -*e.what(); }
}
const char *check(int v)
{
	EXPECT(v, handles(1), 2, 3);
	EXPECT(v, handles(4), -'m', -'m');
	return NULL;
}
void start(void) { check(0); }
'''
OTHER = 'int other(int x);\nint other(int x) { return x * 5 + 3; }\n'


def test_matched_handlers(stitch, folder):
    """C++ in another link: who handles exceptions is named by .eh_frame alone."""
    for name, text in (('old', '1'), ('new', '2'), ('run', '1')):
        write(os.path.join(folder, name), {'case.c': HANDLED.replace('CHANGE', text),
                                           'front.c': OTHER})
    cc = f'g++ -x c++ -O2 -I {CASES}'
    prog, slp = os.path.join(folder, 'run', 'prog'), os.path.join(folder, 'fix.slp')
    sh('sh', '-c', f'{cc} front.c case.c -o prog && strip prog', cwd=os.path.dirname(prog))
    diff_trees(folder, 'old', 'new')
    said, _ = build(stitch, folder, f'{cc} case.c -o prog', '--binary', prog)
    need('function by function' in said, said)
    shown = stitch.json('show', slp)
    need(functions(shown) == {'_Z7handlesi'}, f'{functions(shown)}')
    with Program([prog]) as p:
        for _ in range(2):
            p.check(0)
            stitch.ok('apply', p.pid, slp)
            p.check(1)
            stitch.ok('revert', p.pid)


def main():
    stitch = Stitch(sys.argv[1])
    suite = Suite('builds')
    for name, function in sorted(globals().items()):
        if name.startswith('test_'):
            suite.add(name[5:], lambda folder, f=function: f(stitch, folder))
    return suite.run(sys.argv[2:])


if __name__ == '__main__':
    sys.exit(main())
