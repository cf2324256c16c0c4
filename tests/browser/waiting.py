"""All waits here are for a condition, with a timeout."""
import time


def within(seconds, condition):
    """True as soon as the condition is true; false after the timeout."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
