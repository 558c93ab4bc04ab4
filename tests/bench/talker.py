"""A payload that computes and says so: line by line, each written at once, to its standard output or to a file of its own.

It is handed over as text, so that nothing but a Python is wanted on the node.
"""

import os
import sys
import time

how, count, work = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if how == "file":
    os.dup2(os.open("talk.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 1)
x = 1
began, at, cpu = time.monotonic(), time.time(), time.process_time()
for number in range(count):
    for _ in range(work):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    os.write(1, b"BesEvtGen    INFO event %07d of the run is generated, its weight is %010d\n" % (number, x))
print("took", time.monotonic() - began, time.process_time() - cpu, at, file=sys.stderr)
