"""Who may import whom, as far as import-linter cannot say it (`make check` runs that too; its contracts are in pyproject.toml).

docs/design.md has the rules in words. A rule names files; when one of them goes, the test fails, so that no rule is left
that holds nothing.
"""

from __future__ import annotations

import ast
import fnmatch
import tomllib

import pytest

from tests import source

# Decisions without tasks, time or chance: whoever reads one of these has the whole of it on the page, and a test of it needs
# no clock. A `random.Random` may be handed in; its type may then be imported under TYPE_CHECKING.
PURE = [
    "watch/_bookmarks.py",
    "watch/_api_errors.py",
    "watch/_errors.py",
    "watch/_event.py",
    "watch/_filter.py",
    "watch/_object.py",
    "watch/_patch_type.py",
    "watch/_selector*.py",
    "watch/_sorted.py",
    "reflector/_backoff.py",
    "reflector/_client.py",
    "reflector/_election.py",
    "reflector/_event_keys.py",
    "reflector/_exact_writes.py",
    "reflector/_journal.py",
    "reflector/_own_writes.py",
    "reflector/_reads.py",
    "reflector/_time_of_day.py",
    "reflector/_handler_queue.py",
    "reflector/http/_answers.py",
    "reflector/http/_fields.py",
    "reflector/http/_kubeconfig.py",
    "reflector/http/_paths.py",
    "reflector/http/_settings.py",
    "reflector/http/_wire.py",
    "reflector/_indexer.py",
    "reflector/_lister.py",
    "reflector/_mutations.py",
    "reflector/_promises.py",
    "reflector/_queue_state.py",
    "reflector/_rate_limits.py",
    "reflector/_reconcile.py",
    "reflector/_state.py",
    "reflector/_store.py",
    "cacher/_delegation.py",
    "cacher/_go_json.py",
    "cacher/registry/patch/*.py",
    "cacher/_ring.py",
    "cacher/_scope.py",
    "cacher/_selection.py",
    "cacher/_snapshot.py",
    "cacher/_sorted_objects.py",
    "cacher/registry/_before.py",
    "cacher/registry/_bodies.py",
    "cacher/registry/_configmaps.py",
    "cacher/registry/_custom_*.py",
    "cacher/registry/_controller_revisions.py",
    "cacher/registry/_cron_jobs.py",
    "cacher/registry/_cron_schedule.py",
    "cacher/registry/_daemon_sets.py",
    "cacher/registry/_decode.py",
    "cacher/registry/_definition_mirror.py",
    "cacher/registry/_definitions.py",
    "cacher/registry/_deletion.py",
    "cacher/registry/_deployment_*.py",
    "cacher/registry/_disruption_budgets.py",
    "cacher/registry/_endpoint_slices.py",
    "cacher/registry/_endpoints.py",
    "cacher/registry/_errors.py",
    "cacher/registry/_events.py",
    "cacher/registry/_field_errors.py",
    "cacher/registry/_ip_addresses.py",
    "cacher/registry/_job_validation.py",
    "cacher/registry/_jobs.py",
    "cacher/registry/_label_selectors.py",
    "cacher/registry/_leases.py",
    "cacher/registry/_meta.py",
    "cacher/registry/_names.py",
    "cacher/registry/_nodes.py",
    "cacher/registry/_options.py",
    "cacher/registry/_owner_references.py",
    "cacher/registry/_patches.py",
    "cacher/registry/_pod_*.py",
    "cacher/registry/_pods.py",
    "cacher/registry/_pools.py",
    "cacher/registry/_printers_*.py",
    "cacher/registry/_printing.py",
    "cacher/registry/_quantities.py",
    "cacher/registry/_replica_sets.py",
    "cacher/registry/_rest.py",
    "cacher/registry/_scale.py",
    "cacher/registry/_schemas.py",
    "cacher/registry/_secrets.py",
    "cacher/registry/_selection.py",
    "cacher/registry/_selector_texts.py",
    "cacher/registry/_service_accounts.py",
    "cacher/registry/_service_validation.py",
    "cacher/registry/_stateful_sets.py",
    "cacher/registry/_storage_errors.py",
    "cacher/registry/_strategy.py",
    "cacher/registry/_table.py",
    "cacher/registry/_updated_object.py",
    "cacher/registry/_validation_meta.py",
    "cacher/registry/_volumes.py",
    "cacher/registry/_workload_validation.py",
    "cacher/registry/schema/*.py",
    "cacher/_look_kinds.py",
    "cacher/_look_text.py",
    "cacher/server/_access.py",
    "cacher/server/_answers.py",
    "cacher/server/_audit.py",
    "cacher/server/_bodies.py",
    "cacher/server/_deleting.py",
    "cacher/server/_discovery.py",
    "cacher/server/_encoding.py",
    "cacher/server/_frames.py",
    "cacher/server/_hosts.py",
    "cacher/server/_metrics_text.py",
    "cacher/server/_metrics_sum.py",
    "cacher/server/_request_metrics.py",
    "cacher/server/_negotiation.py",
    "cacher/server/_openapi*.py",
    "cacher/server/_page.py",
    "cacher/server/_protobuf.py",
    "cacher/server/_query.py",
    "cacher/server/_request.py",
    "cacher/server/_resolve.py",
    "cacher/server/_reviews.py",
    "cacher/server/_routes.py",
    "cacher/server/_shapes.py",
    "cacher/server/_wire_types.py",
    "cacher/server/_yaml.py",
    "cacher/storage/_codec.py",
    "cacher/storage/_continue_token.py",
    "cacher/storage/_errors.py",
    "cacher/storage/_interface.py",
    "cacher/storage/_keys.py",
    "cacher/storage/_metrics.py",
    "cacher/storage/_validation.py",
    "cacher/storage/etcd/_data_dir.py",
    "cacher/storage/etcd/_lease.py",
    "cacher/storage/etcd/_mvcc.py",
    "cacher/storage/etcd/_storage_errors.py",
    "cacher/storage/etcd/_sqlite_file.py",
    "cacher/storage/etcd/_txn.py",
    "cacher/storage/etcd/_version_log.py",
    "cacher/storage/etcd/_endpoints.py",
    "cacher/storage/etcd/_remote_errors.py",
    "cacher/storage/etcd/_version.py",
    "cacher/storage/etcd/_watch_assembly.py",
    "cacher/storage/etcd/_watchable.py",
    "cacher/storage/etcd/_wire.py",
    "cacher/controllers/_workload_claims.py",
    "cacher/controllers/_workload_heads.py",
    "cacher/controllers/_workload_history.py",
    "cacher/controllers/_workload_objects.py",
    "cacher/controllers/_workload_pods.py",
    "cacher/controllers/_workload_ranking.py",
    "cacher/controllers/_workload_template.py",
    "cacher/controllers/_*_decision.py",
    "cacher/controllers/_deployment_*.py",
    "cacher/controllers/_cron_times.py",
    "cacher/controllers/_job_counting.py",
    "cacher/controllers/_conditions.py",
    "cacher/controllers/_endpoints.py",
    "cacher/controllers/_metadata.py",
    "cacher/controllers/_namespace_contents.py",
    "cacher/controllers/_node_health.py",
    "cacher/controllers/_node_table.py",
    "cacher/controllers/_owner_graph.py",
    "cacher/controllers/_placement.py",
    "cacher/controllers/_pod_runs.py",
    "cacher/controllers/_reads.py",
    "cacher/controllers/_served.py",
    "cacher/controllers/_simulated_nodes.py",
    "cacher/controllers/_times.py",
    "cacher/reports/*.py",
    "cacher/simulation/_acts.py",
    "cacher/simulation/_comparison.py",
    "cacher/simulation/_dispatch_rules.py",
    "cacher/simulation/_end_state.py",
    "cacher/simulation/_faults.py",
    "cacher/simulation/_operations.py",
    "cacher/simulation/_on_line.py",
    "cacher/simulation/_plans.py",
    "cacher/simulation/_scale.py",
    "cacher/simulation/_simpler.py",
    "cacher/simulation/_sometimes.py",
    "cacher/simulation/_swarm.py",
    "cacher/simulation/_tape.py",
    "cacher/simulation/_canonical.py",
    "cacher/simulation/_comparison.py",
    "cacher/simulation/_deletion_order.py",
    "cacher/simulation/judges/*.py",
]
NOT_PURE = ("trio", "random")

# Third-party packages that stand behind one door, so that they can be replaced, or left out, in one place.
ETCD = ["cacher/storage/etcd/_etcd3.py"]
DOORS = {
    "argcomplete": ["cacher/_completion.py"],
    "etcd3": ETCD,
    "grpc": ETCD,
    "google": [*ETCD, "cacher/server/_protobuf.py"],
    "cryptography": ["cacher/server/_certificates.py"],
    "jsonpatch": ["cacher/registry/patch/_json_patch.py"],
    "cel_expr_python": ["cacher/registry/schema/_cel_library.py", "cacher/registry/schema/_cel_program.py"],
    "re2": ["cacher/registry/schema/_patterns.py"],
    "h11": ["cacher/server/_http.py", "reflector/http/_connection.py"],
    "yaml": ["cacher/server/_yaml.py", "reflector/http/_yaml.py"],
    "sortedcontainers": ["watch/_sorted.py"],
    "hypothesis": [
        "cacher/simulation/properties/_fault_strategies.py",
        "cacher/simulation/properties/_machine.py",
        "cacher/simulation/properties/_strategies.py",
    ],
    "matplotlib": ["benchmarks/beside/_plots.py"],
    "rich": [
        "benchmarks/__main__.py",
        "benchmarks/beside/__main__.py",
        "benchmarks/beside/_report.py",
        "cacher/simulation/_live_view.py",
        "cacher/simulation/_progress.py",
        "cacher/simulation/_render.py",
        "cacher/simulation/_terminal.py",
    ],
}

# A judge that leaned on what it judges would share its mistakes: it knows the words of `watch` and the recorded facts.
JUDGES = "cacher/simulation/judges/*.py"
JUDGES_MAY_IMPORT = (
    "watch",
    "msgspec",
    "cacher.simulation._history",
    "cacher.simulation._acts",
    "cacher.simulation.judges",
)

IMPORTED_AS = {
    "cel-expr-python": "cel_expr_python",
    "google-re2": "re2",
    "grpcio": "grpc",
    "protobuf": "google",
    "pyyaml": "yaml",
}
"""Distributions whose packages have other names."""

FILES = source.python_files(*source.PACKAGES, "scenarios", "benchmarks")


def imported_as(distribution: str) -> str:
    return IMPORTED_AS.get(distribution, distribution)


def matching(pattern: str) -> list[str]:
    return fnmatch.filter(FILES, pattern)


def is_below(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def impure_imports(module: ast.Module, file: str) -> list[str]:
    """What a pure file imports though it must not."""
    return [
        f"{file}:{found.line} imports {found.module}"
        for found in source.imports(module, file)
        if not found.for_types_only and any(is_below(found.module, banned) for banned in NOT_PURE)
    ]


def private_imports(module: ast.Module, file: str) -> list[str]:
    """What a file takes from another package past its public names."""
    own = file.split("/")[0]
    return [
        f"{file}:{found.line} imports {found.module}"
        for found in source.imports(module, file)
        for package in source.PACKAGES
        if package != own and is_below(found.module, package) and "._" in found.module
    ]


def unsafe_judge_imports(module: ast.Module, file: str) -> list[str]:
    return [
        f"{file}:{found.line} imports {found.module}"
        for found in source.imports(module, file)
        if not source.is_standard(found.module)
        and not any(is_below(found.module, allowed) for allowed in JUDGES_MAY_IMPORT)
    ]


@pytest.mark.parametrize("pattern", PURE)
def test_a_pure_file_imports_neither_trio_nor_random(pattern):
    files = matching(pattern)
    assert files, f"no file is named {pattern}: take it from the list"
    assert not [found for file in files for found in impure_imports(source.tree(file), file)]


def test_one_package_uses_only_the_public_names_of_another():
    assert not [found for file in FILES for found in private_imports(source.tree(file), file)]


def test_a_judge_knows_the_words_of_watch_and_the_recorded_facts_alone():
    files = matching(JUDGES)
    assert files
    assert not [found for file in files for found in unsafe_judge_imports(source.tree(file), file)]


@pytest.mark.parametrize("package", DOORS)
def test_a_third_party_package_behind_a_door_is_imported_there_alone(package):
    users = {
        file for file in FILES for found in source.imports(source.tree(file), file) if is_below(found.module, package)
    }
    assert users == set(DOORS[package])


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    """The wheel brings what the packages need: no more, and nothing that is only there by another's need for it."""
    project = tomllib.loads((source.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {imported_as(requirement.split(">")[0]) for requirement in project["dependencies"]}
    plugin = "cacher/simulation/pytest_plugin/_plugin.py"  # loaded by pytest, which the extra `simulation` brings
    extra = {plugin, *DOORS["hypothesis"]}  # Hypothesis too, and nothing imports them but a user's own tests
    shipped = [file for file in source.python_files(*source.PACKAGES, "scenarios") if file not in extra]
    modules = {found.module for file in shipped for found in source.imports(source.tree(file), file)}
    imported = {module.split(".")[0] for module in modules if not source.is_standard(module)}
    assert imported - {*source.PACKAGES, "scenarios"} == declared


# --- the rules themselves, on small files that break them -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("import trio", True),
        ("from trio.lowlevel import checkpoint", True),
        ("def f():\n    import random", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from random import Random", False),
        ("import triolet, msgspec", False),
    ],
)
def test_the_rule_of_purity_finds_what_breaks_it(text, broken):
    assert bool(impure_imports(ast.parse(text), "watch/_event.py")) is broken


@pytest.mark.parametrize(
    ("text", "file", "broken"),
    [
        ("from watch._event import Event", "reflector/_state.py", True),
        ("from watch import _event", "scenarios/story.py", True),
        ("import watch._event", "cacher/_ring.py", True),
        ("from watch import Event", "cacher/_ring.py", False),
        ("from ._event import Event", "watch/_view.py", False),
        ("from ..storage.etcd import _mvcc", "cacher/simulation/_world.py", False),
    ],
)
def test_the_rule_of_public_names_finds_what_breaks_it(text, file, broken):
    assert bool(private_imports(ast.parse(text), file)) is broken


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("from .._recorder import Recorder", True),
        ("from cacher import open_cluster", True),
        ("import trio", True),
        ("from .._history import History", False),
        ("from ._verdict import Verdict\nfrom watch import Event\nimport enum", False),
    ],
)
def test_the_rule_of_judges_finds_what_breaks_it(text, broken):
    assert bool(unsafe_judge_imports(ast.parse(text), "cacher/simulation/judges/_ordered.py")) is broken
