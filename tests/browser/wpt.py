"""The tests of EventSource in web-platform-tests: the same results with and without the proxy."""
from chrome import chrome
from millstream import millstream
from waiting import within
from wptserve import Server, tests

VERDICTS = ["pass", "fail", "timeout", "not run", "precondition failed"]
HOST = "web-platform.test"


def run(report, checkout):
    if not checkout or not (checkout / "eventsource").is_dir():
        report.skip("wpt", "--wpt DIR (make browser WPT=DIR), a checkout of web-platform-tests:"
                    " git sparse-checkout set eventsource common resources")
        return
    paths = [path for path in tests(checkout) if report.wants("wpt " + path)]
    if not paths:
        return
    server = Server(checkout)
    direct = verdicts(server, f"http://{HOST}:{server.server_port}", paths)
    with millstream(("/", f"http://127.0.0.1:{server.server_port}")) as proxy:
        proxied = verdicts(server, proxy.origin(HOST), paths)
    server.shutdown()
    for path in paths:
        report.verdict(f"wpt {path} ({counts(direct[path])})", compare(direct[path], proxied[path]))
    for side, all_of_it in ("directly", direct), ("through the proxy", proxied):
        subtests = [verdict for one in all_of_it.values() for verdict in one.values()]
        report.say(f"      wpt, {side}: {counts(dict(enumerate(subtests)))}")


def verdicts(server, origin, paths):
    """The results of each test in a new browser, by subtest."""
    found = {}
    with chrome() as browser:
        for path in paths:
            server.results.clear()
            with browser.page(origin + path):
                # The harness has its own timeouts; this one is for pages without any.
                if not within(30, lambda: server.results):
                    found[path] = {"(the page)": "says nothing"}
                    continue
            said = server.results[0]
            found[path] = {without(origin, test["name"]): VERDICTS[test["status"]]
                           for test in said["tests"]}
            if said["status"]:
                found[path]["(the harness)"] = f"{said['status']} {said['message']}"
    return found


def without(origin, name):
    """The name of a subtest without its origin and port."""
    port = origin.rpartition(":")[2]
    return name.replace(origin, "ORIGIN").replace(f":{port}/", ":PORT/")


def compare(direct, proxied):
    names = list(direct) + [name for name in proxied if name not in direct]
    return "\n".join(
        f"{name}: {direct.get(name, 'absent')}, but through the proxy {proxied.get(name, 'absent')}"
        for name in names if direct.get(name) != proxied.get(name))


def counts(said):
    every = list(said.values())
    return ", ".join(f"{every.count(verdict)} {verdict}" for verdict in dict.fromkeys(every))
