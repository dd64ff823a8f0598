#!/usr/bin/env bash
# Ninja's output as one moving line on a terminal, as it is elsewhere but for the plain [n/m] lines.
if [[ -t 1 ]]; then exec cat; fi
grep -vE '^\[[0-9]+/[0-9]+\] (Building|Linking|Re-checking|Creating)|^ninja: (Entering|no work)' || true
