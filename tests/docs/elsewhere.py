"""What the documents show and these tests do not run as it stands there: why, and which test holds it instead.

A row that nothing needs any more, and one whose test is gone, fail a test. What can be run is not in here.
"""

from __future__ import annotations

from typing import NamedTuple


class Elsewhere(NamedTuple):
    """Why something is not run as it stands, and who else holds it."""

    why: str
    test: str = ""
    """`file` or `file::test`; empty: there is nothing in it that a program could find false."""


_DRAWING = Elsewhere("a drawing")
_KUBECTL = Elsewhere("needs kubectl", "tests/clients/test_serve_page.py::test_the_session_of_the_page_goes_as_it_says")
_LOOK = Elsewhere("needs a server or a store with something in it", "tests/cacher/test_cli_look.py")
_TEN_MINUTES = Elsewhere(
    "files that the reader writes, and what is done with them", "tests/docs/test_first_ten_minutes.py"
)
_MUSEUM = Elsewhere("minutes", "tests/scenarios/test_museum.py")

BLOCKS: dict[tuple[str, str], Elsewhere] = {
    ("README.md", "flowchart LR"): _DRAWING,
    ("README.md", "test_a_flock_never_has_more"): Elsewhere(
        "what the command above it prints",
        "tests/cacher/simulation/test_simulate.py::test_the_example_fails_with_a_story_and_its_seed_comes_first_the_next_time",
    ),
    ("README.md", "for number in range(wanted):"): Elsewhere(
        "a part of a function", "tests/docs/test_cure.py::test_the_cure_of_the_readme_holds_where_the_example_breaks"
    ),
    ("docs/article.md", "ResourceDoor.create"): Elsewhere(
        "what calls what", "tests/test_article.py::test_a_create_goes_through_the_layers_in_the_articles_order"
    ),
    ("docs/controllers.md", "2026-11-23T18:50:01.203114Z  update"): Elsewhere(
        "its times and uids are those of one run", "tests/reflector/test_provenance.py::test_why_says_it_all"
    ),
    ("docs/design.md", "resource.create ─►"): _DRAWING,
    ("docs/design.md", "reader │ ListerWatcher │"): _DRAWING,
    **{
        ("docs/first-ten-minutes.md", begins): _TEN_MINUTES
        for begins in (
            "# mirror.py",
            "# test_mirror.py",
            "$ python -m pytest",
            "test_what_is_labelled_has_a_mirror failed",
            "$ watchcache explain",
            "await api.delete",
            "1 passed",
            "$ watchcache hunt",
            "clean: 2000",
        )
    },
    ("docs/first-ten-minutes.md", "$ git clone"): Elsewhere("fetches the project"),
    ("docs/serve.md", "$ watchcache serve --controllers &"): Elsewhere(
        "needs kubectl", "tests/clients/test_living_cluster.py"
    ),
    ("docs/serve.md", "3ZkP8r…,alice,1,"): Elsewhere("a file of secrets", "tests/cacher/server/test_auth.py"),
    ("docs/serve.md", "$ curl -X POST"): Elsewhere(
        "needs a server that is up", "tests/cacher/server/test_page.py::test_another_link_is_for_those_who_may_do_all"
    ),
    ("docs/simulator.md", "seed ─► draw ─►"): _DRAWING,
    ("docs/simulator.md", "SimStore            the one truth"): _DRAWING,
    ("docs/simulator.md", '{"version": 1, "scenario": "zombie-delete"'): Elsewhere(
        "a tape with remarks", "tests/docs/test_blocks.py::test_the_tape_of_the_page_has_the_members_of_a_tape"
    ),
}
"""Blocks, by document and how their first line begins."""

COMMANDS: dict[str, Elsewhere] = {
    "PYTHONPATH=examples python -m pytest": Elsewhere(
        "a run of pytest",
        "tests/cacher/simulation/test_simulate.py::test_the_example_fails_with_a_story_and_its_seed_comes_first_the_next_time",
    ),
    ". .venv/bin/activate": Elsewhere("changes a shell"),
    'eval "$(watchcache completion bash)"': Elsewhere(
        "changes a shell", "tests/cacher/test_cli_parser.py::test_a_shell_is_told_how_to_complete"
    ),
    "export KUBECONFIG=": _KUBECTL,
    "kubectl ": _KUBECTL,
    "make ": Elsewhere("it runs this test", "tests/test_docs.py::test_a_command_that_is_shown_exists"),
    "python -m benchmarks": Elsewhere(
        "minutes", "tests/docs/test_commands.py::test_a_command_of_the_benchmarks_is_one"
    ),
    "watchcache describe ": _LOOK,
    "watchcache get ": _LOOK,
    "watchcache hunt zombie-delete --variant": _MUSEUM,
    "watchcache serve": Elsewhere("does not end by itself", "tests/cacher/test_cli_serve.py"),
    "watchcache trace rollout --clients 10000": Elsewhere(
        "half a minute",
        "tests/cacher/test_cli.py::test_the_same_seed_prints_the_same_digest_in_another_process_and_under_another_hash_seed",
    ),
    "watchcache trace rollout --etcd": Elsewhere(
        "needs an etcd",
        "tests/cacher/simulation/test_landing.py::test_a_recorded_cluster_on_a_real_etcd_shows_its_clients_what_the_real_cache_showed_them",
    ),
    "watchcache trace rollout --html": Elsewhere(
        "a quarter of a minute",
        "tests/cacher/test_cli_reports.py::test_a_traces_report_has_all_clients_and_stands_beside_its_json",
    ),
    "watchcache trace rollout --pace": Elsewhere(
        "the real clock", "tests/cacher/test_cli.py::test_a_pace_is_max_real_or_a_factor"
    ),
    "watchcache trace rollout --watch-cache-sizes": Elsewhere(
        "a quarter of a minute",
        "tests/cacher/test_cli.py::test_caches_are_switched_off_by_the_flags_of_a_kube_apiserver",
    ),
    "watchcache trace path/to/rollout": Elsewhere("a file of the reader's", "tests/cacher/simulation/test_verify.py"),
}
"""Commands, by how they begin. Those of `watchcache` are read by its parser all the same."""
