#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
usage: run.py STITCH WORK [--quick] [NUMBER...]

Goes through the fixes of fixes.py and prints a table; --quick: only the small ones,
without the plain build that others are compared with.  What was built is used again
only with --quick.
"""
import os
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from engine import Fix, Wrong  # noqa: E402
import fixes  # noqa: E402

COLUMNS = ('fix', 'object', 'functions', 'build s', 'x two plain', 'apply ms', 'worst pause ms',
           'before/with/after', 'failed')


def row(fix):
    f = fix.facts
    ratio = f'{f["build"] / (2 * f["plain"]):.2f}' if 'plain' in f else '-'
    apply = f'{f["apply_ms"]:.0f}' if 'apply_ms' in f else '-'
    pause = f'{f["pause_us"] / 1000:.2f}' if 'pause_us' in f else '-'
    return (f'{fix.number} {fix.title}', f.get('object', '-'), str(f.get('functions', 0)),
            f'{f.get("build", 0):.0f}', ratio, apply, pause,
            '/'.join(f.get('probe', ['-'])) if f.get('probe') else fix.expect,
            str(f.get('failed', '-')))


def print_table(rows):
    widths = [max(len(r[i]) for r in [COLUMNS, *rows]) for i in range(len(COLUMNS))]
    for r in [COLUMNS, tuple('-' * w for w in widths), *rows]:
        print('| ' + ' | '.join(c.ljust(w) for c, w in zip(r, widths)) + ' |')


def main():
    quick = '--quick' in sys.argv
    stitch, work, *wanted = [a for a in sys.argv[1:] if a != '--quick']
    known = [c for c in vars(fixes).values()
             if isinstance(c, type) and issubclass(c, Fix) and c.number]
    chosen = [c for c in known if (c.number in wanted if wanted else c.is_small or not quick)]
    rows, failed = [], 0
    print(f'1..{len(chosen)}')
    for n, kind in enumerate(sorted(chosen, key=lambda c: c.number), 1):
        fix = kind(stitch, work, quick)
        try:
            fix.check()
            print(f'ok {n} {fix.number} {fix.title}', flush=True)
        except Exception as e:  # noqa: BLE001: whatever it is, the others go on
            failed += 1
            print(f'not ok {n} {fix.number} {fix.title}\n# '
                  + (str(e) if isinstance(e, Wrong) else traceback.format_exc())
                  .replace('\n', '\n# '), flush=True)
        finally:
            fix.stop()
        rows.append(row(fix))
        # Hours lie between the first and the last: what is known is said at once.
        print('# ' + ', '.join(f'{c} {v}' for c, v in zip(COLUMNS[1:], rows[-1][1:])), flush=True)
    print_table(rows)
    print(f'corpus: {len(chosen) - failed} passed, {failed} failed, 0 skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
