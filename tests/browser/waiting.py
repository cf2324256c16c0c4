"""How everything here waits: for a condition, with a deadline."""
import time


def within(seconds, condition):
    """True as soon as the condition is; false if it is not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
