#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""usage: mail_load.py PORT: sends messages one after the other until SIGINT, and counts."""
import signal
import smtplib
import sys


def main():
    sent = failed = 0
    asked = []
    # Not as an exception: in the middle of a command the end of the session raises another
    # in its place, and nobody would know that it came.
    signal.signal(signal.SIGINT, lambda *_: asked.append(True))
    while not asked and failed <= 100:
        try:
            with smtplib.SMTP('127.0.0.1', int(sys.argv[1]), timeout=10) as smtp:
                for _ in range(10):
                    smtp.sendmail('a@test.example', 'b@test.example', 'Subject: x\n\ny\n')
                    sent += 1
        except (OSError, smtplib.SMTPException) as e:
            failed += 1
            print(e)
    print(f'{sent} sent, {failed} failed')


if __name__ == '__main__':
    main()
