"""What many programs do as soon as they are imported; it may not disturb whoever imports them."""

import atexit
import logging
import os
import signal
import sys
import threading
import time

logging.basicConfig(level=logging.DEBUG, format="weather %(levelname)s %(name)s: %(message)s", force=True)
os.environ["WEATHER_REGION"] = "north"
# SIGTERM is swallowed: a worker finishes its chunk first.
signal.signal(signal.SIGTERM, lambda _number, _frame: print("weather: finishing the chunk"))
threading.Thread(target=threading.Event().wait, name="weather-heartbeat", daemon=True).start()
atexit.register(print, "weather: goodbye")

print("weather: hello on stdout")
print("weather: hello on stderr", file=sys.stderr)
logging.getLogger(__name__).info("started")

if os.environ.get("WEATHER_SLOW") == "1":
    time.sleep(2)
