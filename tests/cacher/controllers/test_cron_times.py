"""When the times of a schedule are, against a plain walk over all minutes."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.controllers._cron_times import next_time, read_schedule, times_between


def at(text, zone="+00:00"):
    return datetime.fromisoformat(text + zone).timestamp()


@pytest.mark.parametrize(
    ("schedule", "after", "following"),
    [
        # Source: github.com/robfig/cron v3, spec_test.go, TestNext (its zone left out)
        ("0/15 * * * *", "2012-07-09T14:45:00", "2012-07-09T15:00:00"),
        ("0/15 * * * *", "2012-07-09T14:59:59", "2012-07-09T15:00:00"),
        ("20-35/15 * * * *", "2012-07-09T15:45:00", "2012-07-09T16:20:00"),
        ("0 0 * * *", "2012-07-09T23:35:51", "2012-07-10T00:00:00"),
        ("20-35/15 0/2 * * *", "2012-07-09T23:35:51", "2012-07-10T00:20:00"),
        ("0 0 9 Apr-Oct ?", "2012-07-09T23:35:00", "2012-08-09T00:00:00"),
        ("0 0 */5 Apr,Aug,Oct Mon", "2012-07-09T23:35:00", "2012-08-01T00:00:00"),
        ("0 0 */5 Oct Mon", "2012-07-09T23:35:00", "2012-10-01T00:00:00"),
        ("0 0 * Feb Mon", "2012-07-09T23:35:00", "2013-02-04T00:00:00"),
        ("0 0 * Feb Mon/2", "2012-07-09T23:35:00", "2013-02-01T00:00:00"),
        ("0 0 29 Feb ?", "2012-07-09T23:35:00", "2016-02-29T00:00:00"),
        ("@hourly", "2012-07-09T23:35:00", "2012-07-10T00:00:00"),
        ("@weekly", "2012-07-09T23:35:00", "2012-07-15T00:00:00"),
        ("@every 1h30m", "2012-07-09T14:45:00", "2012-07-09T16:15:00"),
    ],
)
def test_the_next_time_is_the_librarys(schedule, after, following):
    assert next_time(read_schedule(schedule), at(after)) == at(following)


def test_a_day_that_never_comes_has_no_time():
    assert next_time(read_schedule("0 0 30 Feb ?"), at("2012-07-09T23:35:00")) is None
    assert next_time(read_schedule("0 0 31 Apr ?"), at("2012-07-09T23:35:00")) is None


def test_five_fields_are_needed():
    with pytest.raises(ValueError, match="five fields"):
        read_schedule("* * *")


@pytest.mark.parametrize(
    ("after", "following"),
    [
        ("2012-03-10T23:00:00-05:00", "2012-03-12T02:30:00-04:00"),  # on the 11th there is no half past two
        ("2012-11-04T00:00:00-04:00", "2012-11-04T02:30:00-05:00"),
    ],
)
def test_a_zone_that_changes_its_clocks_passes_over_what_does_not_exist(after, following):
    moment = next_time(read_schedule("30 2 * * *"), at(after, ""), "America/New_York")
    assert moment == at(following, "")


FIELDS = st.tuples(
    st.sampled_from(["*", "*/7", "5", "10-20", "1,59", "0-30/10"]),
    st.sampled_from(["*", "*/5", "3", "8-10"]),
    st.sampled_from(["*", "1", "10-12", "*/9", "?"]),
    st.sampled_from(["*", "2", "Jun-Aug", "*/3"]),
    st.sampled_from(["*", "0", "Mon-Fri", "6", "?"]),
)


@given(FIELDS, st.integers(0, 3 * 365 * 1440))
@settings(max_examples=60)
def test_the_times_are_all_minutes_that_the_fields_want(fields, minutes):
    after = at("2024-01-01T00:00:00") + 60 * minutes
    schedule = read_schedule(" ".join(fields))
    until = after + 3 * 86400

    def is_wanted(moment):
        when = datetime.fromtimestamp(moment, UTC)
        of_month, of_week = when.day in schedule.days, when.isoweekday() % 7 in schedule.weekdays
        either = fields[2] in "*?" or fields[4] in "*?"
        day = (of_month and of_week) if either else (of_month or of_week)
        return day and when.month in schedule.months and when.hour in schedule.hours and when.minute in schedule.minutes

    naive = [after + 60 * step for step in range(1, 3 * 1440 + 1) if is_wanted(after + 60 * step)]
    assert list(islice(times_between(schedule, after, until), 5000)) == naive
