#!/bin/sh
# pi.sh SEED DARTS: an estimate of pi into pi.txt
awk -v seed="$1" -v darts="$2" 'BEGIN {
    srand(seed)
    for (i = 0; i < darts; i++) { x = rand(); y = rand(); hits += (x * x + y * y <= 1) }
    printf "%.10f\n", 4 * hits / darts > "pi.txt"
    print "seed " seed ": " hits " of " darts " darts hit"
}'
