"""Over any history: an honest path is never convicted, and what a broken one did wrong never goes unnoticed."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cacher.simulation.judges import judge_all
from tests.cacher.simulation.doubles import Break, Pod, World
from watch import Selector

KEYS = 6
CLIENTS = 4
BURST_EVENTS_MAX = 3 * KEYS
"""What one action writes at most: a ring that holds less would expire even who takes at once."""

pods = st.builds(
    Pod,
    namespace=st.just("a"),
    app=st.sampled_from(["", "web", "db"]),
    rank=st.sampled_from(["", "4", "6", "x"]),
    node=st.sampled_from(["", "n1", "n2"]),
    phase=st.sampled_from(["", "Running"]),
    note=st.integers(0, 3),
)
writes = st.tuples(st.integers(0, KEYS - 1), st.none() | pods)
transactions = st.lists(st.lists(writes, min_size=1, max_size=3), min_size=1, max_size=3)
label_texts = st.sampled_from(
    [
        "",
        "",
        "",
        "app=web",
        "app=web",
        "app=web",
        "app!=web",
        "app in (web,db)",
        "app notin (db)",
        "app",
        "!app",
        "rank>4",
        "rank<6",
        "app=web,rank",
    ]
)
field_texts = st.sampled_from(
    ["", "", "", "", "", "spec.nodeName=n1", "spec.nodeName!=n1", "status.phase=", "metadata.name=pod-1"]
)
selectors = st.builds(
    lambda namespace, labels, fields: Selector.of(namespace, labels=labels, fields=fields),
    st.sampled_from(["", "", "", "a", "b"]),
    label_texts,
    field_texts,
)
clients = st.tuples(selectors, st.booleans(), st.booleans())
numbers = st.integers(0, CLIENTS - 1)
actions = st.one_of(
    st.tuples(st.just("write"), transactions),
    st.tuples(st.just("write"), transactions),
    st.tuples(st.just("write"), transactions),
    st.tuples(st.sampled_from(["take", "reconnect", "part", "come_back", "start_over", "stream_over"]), numbers),
    st.tuples(st.just("miss"), st.tuples(numbers, transactions)),
    st.tuples(st.sampled_from(["send_bookmarks", "sample"]), st.none()),
)
stories = st.tuples(
    st.lists(writes, max_size=4),
    st.sampled_from([BURST_EVENTS_MAX, 2 * BURST_EVENTS_MAX, 1000]),
    st.lists(clients, min_size=2, max_size=CLIENTS),
    st.lists(actions, min_size=8, max_size=24),
)


def play(story, wrong: Break | None = None, nth: int = 0) -> World:
    start, capacity, joining, acts = story
    world = World(list(dict(start).items()), capacity=capacity, wrong=wrong, nth=nth)
    for selector, slow, initial in joining:
        world.join(selector, slow=slow, initial=initial)
    for name, argument in acts:
        act(world, name, argument)
    world.finish()
    return world


def act(world: World, name: str, argument) -> None:
    match name:
        case "write":
            world.write(*argument)
        case "send_bookmarks" | "sample":
            getattr(world, name)()
        case "miss":
            number, missed = argument
            client = world.clients[number % len(world.clients)]
            world.part(client)
            world.write(*missed)
            world.come_back(client)
        case "stream_over":
            world.start_over(world.clients[argument % len(world.clients)], initial=True)
        case _:
            getattr(world, name)(world.clients[argument % len(world.clients)])


@given(stories)
@settings(max_examples=80)
def test_an_honest_path_is_convicted_of_nothing(story):
    assert [verdict.violations for verdict in judge_all(play(story).history) if verdict.broken] == []


@given(stories, st.sampled_from(list(Break)), st.sampled_from([0, 0, 1, 3]))
@settings(max_examples=150)
def test_what_was_broken_is_told_by_its_judge_and_by_no_other(story, wrong, nth):
    world = play(story, wrong, nth)
    convicting = {verdict.name for verdict in judge_all(world.history) if verdict.broken}
    assert convicting == ({wrong.judge} if world.broke else set())


@given(stories, st.sampled_from(list(Break)))
@settings(max_examples=30)
def test_a_shared_history_hides_nothing(story, wrong):
    """Identity shortcuts must not let a second client pass on the strength of a first: every client alone is judged alike."""
    world = play(story, wrong)
    assume(world.broke)
    history = world.history
    whole = [verdict.broken for verdict in judge_all(history)]
    alone = [[verdict.broken for verdict in judge_all(only(history, index))] for index in range(len(history.clients))]
    caches = [verdict.broken for verdict in judge_all(only(history, None))]
    assert whole == [sum(counts) for counts in zip(caches, *alone, strict=True)]


def only(history, index):
    """The history of one client, or, for None, of the caches alone."""
    chosen = [] if index is None else [history.clients[index]]
    samples = history.samples if index is None else []
    return type(history)(
        history.stores, chosen, samples, history.end_revision, history.published_at_s, history.finished
    )
