"""Answers that the proxy ends early: in a drain, or because they stall, are silent, or an operator
ends them.

Each case has the settings of its api, other tables of the file, and what is done during the answer:
a function of the process and the address of its admin listener.
"""
import json, signal, urllib.request

from trials import within

ADMIN = ["[admin]", 'listen = "127.0.0.1:0"']


def answers(admin):
    """The open answers that have sent all of their events."""
    with urllib.request.urlopen(f"{admin}streams") as listed:
        streams = json.load(listed)["streams"]
    return [s for s in streams if s["kind"] == "answer" and s["events"] and s["idle_ms"] > 300]


def terminate(process, admin):
    if within(20, lambda: answers(admin)):
        process.send_signal(signal.SIGTERM)


def delete(process, admin):
    if within(20, lambda: answers(admin)):
        for stream in answers(admin):
            request = urllib.request.Request(
                f"{admin}streams/{stream['id']}", method="DELETE", headers={"X-Millstream": "1"})
            urllib.request.urlopen(request).close()


ENDS = {
    "drain": ([], ["[drain]", 'answers = "300ms"'], terminate),
    "stall": (['stall_timeout = "1s"'], [], None),
    "idle": (['stream_idle_timeout = "1s"'], [], None),
    "operator": ([], [], delete),
}

# How an incomplete answer is indicated in each protocol.
END_EVENTS = {
    "none": [],
    "openai": ['data: {"error": {"message": "cut", "type": "server_error", "code": "ended"}}'],
    "anthropic": ["event: error", "data: " + json.dumps(
        {"type": "error", "error": {"type": "overloaded_error", "message": "cut"}})],
}
