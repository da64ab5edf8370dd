#!/usr/bin/env python3
"""How long callers wait for a pool of local servers when Claude's limit hits them all at once.

usage: simulate.py [--callers N] [--servers N,N…] [--slots N] [--hours N] [--seed N] [LEDGER…]

Each LEDGER is a ledger.jsonl of one caller: its busiest hour tells how often such a caller calls, and its local answers how long one takes.
Without one, built-in figures stand for both. Prints a table in Markdown: waits are from the call to the first moment of its answer.
"""

import argparse
import heapq
import json
import math
import random
import sys
from collections import Counter
from statistics import NormalDist, fmean, pvariance

# Figures of a script's calls: how many a caller makes in an hour, and the seconds of an answer at a server with several slots, of which
# half take less than MEDIAN and one in twenty more than SLOW.
CALLS_AN_HOUR = 6.0
MEDIAN = 8.0
SLOW = 30.0

# The share of callers whose call is under way when the limit hits, or starts with the hour as cron's do: they come at once.
AT_ONCE = 0.1


def main():
    options = parse()
    calls_an_hour, seconds = read_ledgers(options.ledger) if options.ledger else (CALLS_AN_HOUR, built_in())
    arrivals = arrive(options, calls_an_hour)
    durations = [seconds[int(uniform * len(seconds))] for uniform in uniforms(options.seed + 1, len(arrivals))]
    rate, mean = options.callers * calls_an_hour / 3600, fmean(seconds)
    spread = pvariance(seconds) / mean**2
    busy = rate * mean
    print(
        f"{options.callers} callers, {calls_an_hour:.1f} calls each an hour, {AT_ONCE:.0%} of them at once; "
        f"an answer takes {mean:.1f} s: {busy:.0f} slots are busy on average"
    )
    print()
    print("| servers | slots | load | on paper, on average | half wait less than | 95 % less than | longest |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for servers in options.servers:
        slots = servers * options.slots
        waits = sorted(wait(arrivals, durations, slots))
        cells = [on_paper(busy, slots, mean, spread), *(shown(share(waits, part)) for part in (0.5, 0.95)), shown(waits[-1])]
        print(f"| {servers} | {slots} | {busy / slots:.0%} | " + " | ".join(cells) + " |")


def parse():
    class OneLineParser(argparse.ArgumentParser):
        def error(self, message):
            fail(f"{message} (see --help)", 2)

    def number(text):
        value = int(text)
        if value < 1:
            raise ValueError
        return value

    def numbers(text):
        return [number(part) for part in text.split(",")]

    parser = OneLineParser(
        prog="simulate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("ledger", nargs="*", metavar="LEDGER")
    parser.add_argument("--callers", type=number, default=5000, help="default: 5000")
    parser.add_argument("--servers", type=numbers, default=[10, 15, 20, 23, 25, 30], help="sizes of the pool, default: 10,15,20,23,25,30")
    parser.add_argument("--slots", type=number, default=4, help="answers that one server gives at the same time, default: 4")
    parser.add_argument("--hours", type=number, default=1, help="how long calls come, default: 1")
    parser.add_argument("--seed", type=int, default=9, help="the same number brings the same table")
    return parser.parse_args()


def read_ledgers(paths):
    """The calls of a caller in its busiest hour, and the seconds of answers: the local ones, or all if there are none."""
    busiest, local, others = [], [], []
    for path in paths:
        hours = Counter()
        try:
            with open(path, encoding="utf-8", errors="replace") as ledger:
                lines = ledger.readlines()
        except OSError as error:
            fail(f"cannot read {path}: {error.strerror}")
        for line in lines:
            try:  # a call that was killed leaves half a line
                entry = json.loads(line)
                hour, seconds, backend = entry["time"][:13], float(entry["seconds"]), entry["backend"]
            except (ValueError, KeyError, TypeError):
                continue
            hours[hour] += 1
            if entry.get("exit") == 0 and seconds > 0:
                (local if backend == "local" else others).append(seconds)
        busiest.append(max(hours.values(), default=0))
    seconds = local or others
    if not seconds:
        fail("no answer stands in " + ", ".join(paths))
    return fmean(busiest), sorted(seconds)


def built_in():
    normal, spread = NormalDist(), math.log(SLOW / MEDIAN) / NormalDist().inv_cdf(0.95)
    return [MEDIAN * math.exp(spread * normal.inv_cdf((number + 0.5) / 1000)) for number in range(1000)]


def uniforms(seed, count):
    # `random()` alone gives the same numbers in all versions of Python.
    source = random.Random(seed)
    return [source.random() for _ in range(count)]


def arrive(options, calls_an_hour):
    """When calls come, in seconds from the moment of the limit."""
    at_once = [0.0] * int(options.callers * AT_ONCE)
    count = int(options.callers * calls_an_hour * options.hours)
    later = sorted(uniform * 3600 * options.hours for uniform in uniforms(options.seed, count))
    return at_once + later


def wait(arrivals, durations, slots):
    """The wait of each call where the first that comes is the first that is answered."""
    free_at = [0.0] * slots
    waits = []
    for arrival, duration in zip(arrivals, durations):
        begin = max(arrival, heapq.heappop(free_at))
        heapq.heappush(free_at, begin + duration)
        waits.append(begin - arrival)
    return waits


def on_paper(busy, slots, mean, spread):
    """The average wait of M/G/c: Erlang's C, by Allen and Cunneen. Little's law tells what is busy."""
    if busy >= slots:
        return "grows"
    blocked = 1.0  # Erlang's B, one slot after the other
    for number in range(1, slots + 1):
        blocked = busy * blocked / (number + busy * blocked)
    waiting = blocked / (1 - busy / slots * (1 - blocked))
    return shown(waiting * mean / (slots - busy) * (1 + spread) / 2)


def share(ordered, part):
    return ordered[math.ceil(len(ordered) * part) - 1]


def shown(seconds):
    if 0 < seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def fail(message, code=1):
    print(f"simulate.py: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
