"""One adapter for each tool outside, named after it. Only `shell.py` starts programs; only `sentry.py` speaks HTTP."""
