#!/usr/bin/python3
"""A copy of a source with one place changed: sabotage.py SOURCE COPY FROM TO.

The place must be there exactly once: a sabotage that changes nothing would survive for ever.
"""

import sys

SOURCE, COPY, FROM, TO = sys.argv[1:]

with open(SOURCE, encoding="utf-8") as source:
    text = source.read()
if text.count(FROM) != 1:
    sys.exit(f"sabotage.py: {SOURCE} has {text.count(FROM)} times: {FROM}")
with open(COPY, "w", encoding="utf-8") as copy:
    copy.write(text.replace(FROM, TO))
