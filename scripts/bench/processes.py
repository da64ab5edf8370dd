"""The processor time of other programs while something runs."""

import os
import subprocess
import threading
from pathlib import Path
from typing import NamedTuple

# How often it is looked; a process is known by what it had used when it was seen last.
INTERVAL = 0.1


class Process(NamedTuple):
    pid: int
    group: int
    program: str
    seconds: float


class Meter:
    """Sums up the processor time, in seconds, of the processes that `is_one` picks, while it is entered."""

    def __init__(self, is_one):
        self.is_one, self.seconds, self.ended = is_one, 0.0, threading.Event()

    def __enter__(self):
        self.before = self.seen()
        self.last = dict(self.before)
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.last |= self.seen()
        self.seconds = sum(seconds - self.before.get(pid, 0) for pid, seconds in self.last.items())

    def look(self):
        while not self.ended.wait(INTERVAL):
            self.last |= self.seen()

    def seen(self):
        return {process.pid: process.seconds for process in processes() if self.is_one(process)}


def processes():
    if Path("/proc/self/stat").exists():
        yield from filter(None, (from_proc(folder) for folder in Path("/proc").glob("[0-9]*")))
        return
    listed = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,time=,comm="], check=True, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        pid, group, time, program = line.split(maxsplit=3)
        seconds = 0.0
        for part in time.replace("-", ":").split(":"):
            seconds = seconds * 60 + float(part)
        yield Process(int(pid), int(group), program, seconds)


def from_proc(folder):
    try:
        # The name of a program may have spaces and ends at the last bracket.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        program = os.readlink(folder / "exe")
    except OSError:
        return None  # it has ended, or is the kernel's
    ticks = int(fields[11]) + int(fields[12])
    return Process(int(folder.name), int(fields[2]), program, ticks / os.sysconf("SC_CLK_TCK"))
