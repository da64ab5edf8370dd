#!/usr/bin/env python3
"""A person at a terminal, for the rounds on a Mac.

usage: at_terminal.py interrupt COMMAND...     presses Ctrl-C while it waits: it must end by SIGINT
       at_terminal.py session COMMAND...       asks one question in an interactive session, and leaves after the answer
"""

import os
import pty
import select
import signal
import sys
import time

QUESTION = "Of pears."
SHORT, LONG = 20, 60


class Terminal:
    def __init__(self, command):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.execvp(command[0], command)
        self.shown = b""
        self.status = None

    def read(self, seconds):
        """Takes what is shown within this time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([self.master], [], [], left)[0]:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                piece = b""
            if not piece:
                return
            self.shown += piece

    def wait_for(self, words, seconds):
        end = time.monotonic() + seconds
        while words not in self.shown:
            if time.monotonic() > end or self.has_ended():
                sys.exit(f"no {words!r} at the terminal: {self.shown[-2000:]!r}")
            self.read(0.2)

    def send(self, keys):
        os.write(self.master, keys)

    def has_ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status is not None

    def wait_for_end(self, seconds, key=None):
        end = time.monotonic() + seconds
        while not self.has_ended():
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                sys.exit(f"it does not end: {self.shown[-2000:]!r}")
            if key:
                self.send(key)
            self.read(0.2)


def interrupt(command):
    terminal = Terminal(command)
    # It waits for an answer that does not come.
    terminal.read(3)
    if terminal.has_ended():
        sys.exit(f"it has ended by itself: {terminal.shown!r}")
    terminal.send(b"\x03")
    terminal.wait_for_end(SHORT)
    if not os.WIFSIGNALED(terminal.status) or os.WTERMSIG(terminal.status) != signal.SIGINT:
        sys.exit(f"it did not end by SIGINT, but with status {terminal.status}: {terminal.shown!r}")


def session(command):
    terminal = Terminal(command)
    terminal.wait_for("❯".encode(), LONG)
    terminal.send(QUESTION.encode())
    terminal.read(1)
    terminal.send(b"\r")
    terminal.wait_for(b"echo", LONG)
    # The second key must follow the first one soon.
    terminal.wait_for_end(SHORT, b"\x03")


{"interrupt": interrupt, "session": session}[sys.argv[1]](sys.argv[2:])
