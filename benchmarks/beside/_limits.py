"""What holds back a line that has not reached its goal: by a part of its name, the first that fits. From profiles alone."""

from __future__ import annotations

from ._line import Line

UNKNOWN = "not profiled yet"

LIMITS: tuple[tuple[str, str], ...] = (
    (
        "one event a burst: a task each",
        "trio's wake: about 2 µs for each task and event, whatever the cache does",
    ),
    (
        "one event a burst",
        "a call of Python for each delivery and nothing to share it with: of 0.3 µs half is the reader's own loop and count, a"
        " third the publisher's walk over its watches (`seal`), and a tenth asking each what it wants",
    ),
    (
        "recorded pods of 3.5–6 KB",
        "reading the JSON, over half of the time: it is passed over once, also what is not kept, while the peer is handed its"
        " objects decoded. Beside a peer that decodes, see the row below it",
    ),
    (
        "pods of 1 KB",
        "reading the JSON of a pod takes 1.4 of the 2.1 µs, and the peer is handed its objects decoded; 0.5 µs is the cache's",
    ),
    (
        "recorded pods: a task each",
        "reading the JSON of 3.5–6 KB, which the peer does not do here; and a wake of a task for each of few deliveries",
    ),
    (
        "recorded pods",
        "reading the JSON of 3.5–6 KB, 3 to 4 µs an event, which the peer does not do here; an event has one delivery to share it",
    ),
    (
        "each, bursts of 250: a task each",
        "trio's wake of about 2 µs and a task switch for an event that has one reader: nobody shares them; the more watchers, the"
        " more it costs, as memory that was not used for long does (not counted, but the steps are the same in number)",
    ),
    (
        "each, bursts of 250: WatchSet or sink",
        "an event has one delivery, so all it costs is the delivery's: of 3 to 4 µs half is reading its JSON, a quarter store"
        " and ring, the rest the index and a view each; with 10,000 watchers each step takes longer, as memory that was not used"
        " for long does (not counted, but the steps are the same in number)",
    ),
    (
        "1k to 1M objects",
        "the steps are the same in number; each update touches an object, its key and its place in the store at random, and at 1M"
        " these are in no cache of the processor (its counters were not read)",
    ),
    (
        "pods: namespace, 1/1000",
        "5 µs in all for 100 objects that are a slice of a sorted list: what is left is the request, in Python",
    ),
    (
        "pods: field, 1/1000, indexed",
        "8 µs in all for 100 objects of an index: what is left is the request, in Python, and their order",
    ),
    (
        "a cached object",
        "the JSON itself, which is kept as stored, is 1,000 of the bytes: with it alone the goal is all but used up",
    ),
    ("an event of history", "the JSON of each version is kept as stored: 1,000 of the bytes"),
    (
        "updates to",
        "a pass of trio's loop for each event that comes alone: the reflector's step, the store with its index, and the handler's"
        " queue with its wake, about 2 µs each; where events come together they share them",
    ),
    ("first list to 1 handler", "a promise and a place in the handler's queue for each object, in Python"),
    (
        "queue:",
        "Python beside compiled code: an add, a get and a done are some twenty calls; a fifth of it is asking trio for"
        " the time",
    ),
    (
        "store: look up",
        "reading 100 names is 100 steps of Python's loop, most of the 20 µs; the look-up itself is one of a dictionary",
    ),
    (
        "server's CPU a delivery",
        "one system call and one record of TLS for each watch and wake; with few events under way there are few in each to share"
        " them. A kube-apiserver ends watches that are further behind, so this is where both do the same work",
    ),
)


def limit_of(line: Line) -> str:
    """The reason, in words."""
    return next((reason for part, reason in LIMITS if part in line.name or part == line.group), UNKNOWN)
