"""A payload that computes and says so: line by line, each written at once, to its standard output or to a file of its own.

It is handed over as text, so that nothing but a Python is wanted on the node.
"""

import os
import sys
import time

how, count, work = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if how == "file":
    os.dup2(os.open("talk.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 1)


def waited() -> float:
    """Seconds that this process was ready and had no processor."""
    told = os.open("/proc/self/schedstat", os.O_RDONLY)
    return int(os.read(told, 200).split()[1]) / 1e9


x, waited_before = 1, waited()
began, at = time.monotonic(), time.time()
for number in range(count):
    for _ in range(work):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    os.write(1, b"BesEvtGen    INFO event %07d of the run is generated, its weight is %010d\n" % (number, x))
took = time.monotonic() - began
print("took", took, took - waited() + waited_before, at, file=sys.stderr)
