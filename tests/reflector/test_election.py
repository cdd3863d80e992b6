"""Who may act as leader: the decisions alone, and a campaign of candidates whose clocks and network do what they want."""

from __future__ import annotations

import heapq
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflector import LeaderOptions
from reflector._election import Election, LeaseRecord

OPTIONS = LeaderOptions()


def held_by(holder, *, renewed="0", duration=15, transitions=0):
    return LeaseRecord(holder, duration, "", renewed, transitions)


def proposed(election, now, time_of_day=""):
    """What the candidate would write."""
    proposal = election.proposal(now, time_of_day)
    assert proposal is not None
    return proposal


def test_a_lease_that_nobody_made_or_holds_is_free():
    """[9.5 leaderelection: acquire when free]"""
    for record in (None, held_by("")):
        election = Election("a", OPTIONS)
        election.observe(record, 100)
        proposal = proposed(election, 100, "noon")
        assert proposal.holder_identity == "a"
        assert not election.is_leader(100), "a proposal is no success"
        election.written(proposal, 100, 101)
        assert election.is_leader(101)


def test_a_lease_of_another_is_free_when_it_has_not_changed_for_its_duration():
    """[9.5 leaderelection: acquire when expired] However old the times in it say that it is."""
    election = Election("a", OPTIONS)
    election.observe(held_by("b", renewed="1970-01-01T00:00:00.000000Z"), 100)
    assert election.proposal(114.9, "") is None
    election.observe(held_by("b", renewed="1970-01-01T00:00:00.000000Z"), 110)  # the same: no change
    assert proposed(election, 115).holder_identity == "a"
    election.observe(held_by("b", renewed="1970-01-01T00:00:02.000000Z"), 116)
    assert election.proposal(130.9, "") is None
    assert election.proposal(131, "") is not None


def test_the_duration_that_counts_is_the_one_in_the_lease():
    election = Election("a", OPTIONS)
    election.observe(held_by("b", duration=60), 0)
    assert election.proposal(59, "") is None
    assert election.proposal(60, "") is not None


def test_a_leader_stops_counting_from_when_it_sent_its_renewal_and_not_from_when_it_was_answered():
    election = Election("a", OPTIONS)
    election.observe(None, 0)
    election.written(proposed(election, 0), 0, 7)
    assert election.is_leader(9.9)
    assert not election.is_leader(10)
    assert election.give_up_at == 10


def test_a_leader_that_reads_the_name_of_another_is_none_from_then_on():
    election = Election("a", OPTIONS)
    election.written(held_by("a"), 0, 0)
    election.observe(held_by("b"), 1)
    assert not election.is_leader(1)
    assert election.give_up_at < 1
    election.written(held_by("a"), 20, 20)
    election.observe(None, 21)
    assert not election.is_leader(21)


def test_a_takeover_counts_a_transition_and_a_renewal_none():
    """[9.5 leaderelection: acquire when self] Of a lease in one's own name nothing is waited for."""
    election = Election("a", OPTIONS)
    election.observe(held_by("b", transitions=4), 0)
    taken = proposed(election, 15, "T15")
    assert (taken.lease_transitions, taken.acquire_time, taken.renew_time) == (5, "T15", "T15")
    election.written(taken, 15, 15)
    renewed = proposed(election, 17, "T17")
    assert (renewed.lease_transitions, renewed.acquire_time, renewed.renew_time) == (5, "T15", "T17")
    restarted = Election("a", OPTIONS)
    restarted.observe(renewed, 100)
    assert proposed(restarted, 100, "T99").lease_transitions == 5
    assert not restarted.is_leader(100), "it has to write first"


def test_a_released_lease_is_nobodys_for_a_second_and_another_takes_it_at_once():
    """[9.5 leaderelection: release]"""
    election = Election("a", OPTIONS)
    election.written(held_by("a", transitions=3), 0, 0)
    released = election.release("T1")
    assert released is not None
    assert (released.holder_identity, released.lease_duration_seconds, released.lease_transitions) == ("", 1, 3)
    assert not election.is_leader(0)
    other = Election("b", OPTIONS)
    other.observe(held_by("a"), 0)
    other.observe(released, 1)
    assert other.proposal(1, "") is not None
    assert other.release("T2") is None, "what one does not hold one cannot release"


@pytest.mark.parametrize(
    "wrong",
    [
        {"retry_period_s": 0},
        {"renew_deadline_s": 2.4},
        {"lease_duration_s": 10},
        {"lease_duration_s": 15.5},
        {"retry_period_s": float("inf")},
    ],
)
def test_times_that_cannot_work_are_refused(wrong):
    """[9.5 leaderelection: config validation]"""
    with pytest.raises(ValueError, match="choose"):
        LeaderOptions(**wrong)


def test_times_that_just_work_are_taken():
    assert LeaderOptions(lease_duration_s=3, renew_deadline_s=2.5, retry_period_s=2).retry_period_s == 2


def test_a_candidate_needs_a_name():
    with pytest.raises(ValueError, match="choose a name"):
        Election("", OPTIONS)


@pytest.mark.parametrize(
    "lease", [{}, {"spec": None}, {"spec": []}, {"spec": {"holderIdentity": 7, "leaseDurationSeconds": "x"}}]
)
def test_a_lease_that_says_nothing_is_nobodys(lease):
    assert LeaseRecord.of(lease) == LeaseRecord()


@pytest.mark.parametrize(("chance", "waited_s"), [(0, 2), (0.5, 3.2), (0.999, 4.4)])
def test_candidates_ask_every_two_to_four_seconds(chance, waited_s):
    assert Election("a", OPTIONS).retry_in_s(chance) == pytest.approx(waited_s, rel=1e-3)


# ---- many candidates ---------------------------------------------------------------------------------------------


class Candidate:
    """One process: its clock began anywhere and runs at a rate of its own; its time of day is anything."""

    def __init__(self, name, random):
        self.election = Election(name, OPTIONS)
        self.rate = random.uniform(0.85, 1.2)  # together below 1.5 : 1
        self.offset = random.uniform(0, 1e6)
        self.version = 0  # of the lease, as last read or written
        self.sent_at = 0.0
        self.proposal = None
        self.request = 0  # replies to earlier ones are no longer waited for

    def local(self, at):
        return self.offset + at * self.rate


class Field:
    """A lease at a server, and candidates whose requests are late, lost on the way, or carried out and never answered."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.record, self.version = None, 0
        self.candidates = [Candidate(f"c{number}", self.random) for number in range(self.random.randint(2, 4))]
        self.worst_s = self.random.choice([0.01, 1.0, 6.0, 12.0])
        self.lost = self.random.choice([0.0, 0.1, 0.5])
        self.calendar = []
        self.terms = 0
        for candidate in self.candidates:
            self.after(self.random.uniform(0, 3), self.attempt, candidate)

    def after(self, delay_s, act, *arguments, at=0.0):
        heapq.heappush(self.calendar, (at + delay_s, len(self.calendar), self.random.random(), act, arguments))

    def run(self, until):
        while self.calendar:
            at, _, _, act, arguments = heapq.heappop(self.calendar)
            if at > until:
                return
            act(at, *arguments)
            self.check(at)

    def check(self, at):
        leading = [one.election.identity for one in self.candidates if one.election.is_leader(one.local(at))]
        assert len(leading) <= 1, f"at {at:.3f} s {leading} lead"

    def delay(self):
        return self.random.uniform(0, self.worst_s)

    def attempt(self, at, candidate):
        candidate.request += 1
        wait_s = candidate.election.retry_in_s(self.random.random()) / candidate.rate
        patience_s = self.random.uniform(0.1, 10)  # after which it asks again, whatever may still be under way
        if candidate.election.is_leader(candidate.local(at)) and self.random.random() < 0.8:
            self.propose(at, candidate)  # by what it wrote last, unread
        elif self.random.random() >= self.lost:
            self.after(self.delay(), self.read, candidate, candidate.request, at=at)
        self.after(wait_s + min(patience_s, 3 * self.worst_s), self.attempt, candidate, at=at)

    def read(self, at, candidate, request):
        if self.random.random() >= self.lost:
            self.after(self.delay(), self.was_read, candidate, request, self.record, self.version, at=at)

    def was_read(self, at, candidate, request, record, version):
        if request == candidate.request:
            candidate.version = version
            candidate.election.observe(record, candidate.local(at))
            self.propose(at, candidate)

    def propose(self, at, candidate):
        local = candidate.local(at)
        # The time of day is of no use to anybody; it only has to be another one at each renewal.
        proposal = candidate.election.proposal(local, str(self.random.random()))
        if proposal is not None and self.random.random() >= self.lost:
            self.after(
                self.delay(), self.write, candidate, candidate.request, proposal, candidate.version, local, at=at
            )

    def write(self, at, candidate, request, proposal, version, sent_at):
        if version == self.version:
            self.record, self.version = proposal, self.version + 1
            self.terms += 1
            if self.random.random() >= self.lost:
                self.after(self.delay(), self.was_written, candidate, request, proposal, self.version, sent_at, at=at)

    def was_written(self, at, candidate, request, proposal, version, sent_at):
        if request == candidate.request:
            candidate.version = version
            candidate.election.written(proposal, sent_at, candidate.local(at))


@given(st.integers(0, 2**32))
def test_there_are_never_two_leaders_whatever_clocks_and_networks_do(seed):
    """Rates of clocks up to 1.5 : 1 apart, requests that are late, lost, or carried out later than their sender waited."""
    field = Field(seed)
    field.run(300)


def test_there_are_leaders_at_all():
    """The campaign above is about something: most fields have a leader most of the time, and some change it."""
    written = [field.terms for seed in range(50) if not (field := Field(seed)).run(300)]
    assert sum(written) > 1000
    assert sum(1 for count in written if count > 0) > 40
