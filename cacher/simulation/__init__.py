"""The same stack under a virtual clock and a seed: histories played into it, clients that read it, judges over what they saw.

load_trace → open_cluster → open_clients → Player → catch_up → judge_all → render
TraceRun joins them, as `watchcache trace` does; scenarios/rollout.py spells the same out
"""

from ._client_plans import ClientPlan as ClientPlan
from ._client_plans import Terms as Terms
from ._client_plans import plan_clients as plan_clients
from ._clients import Client as Client
from ._clients import Drain as Drain
from ._clients import open_clients as open_clients
from ._determinism import Streams as Streams
from ._determinism import run_deterministic as run_deterministic
from ._digest import digest as digest
from ._history import CacheSample as CacheSample
from ._history import ClientHistory as ClientHistory
from ._history import Ended as Ended
from ._history import EndReason as EndReason
from ._history import History as History
from ._history import Listed as Listed
from ._history import Opened as Opened
from ._history import Received as Received
from ._history import StoreChange as StoreChange
from ._history import StoreHistory as StoreHistory
from ._landing import LandingRefused as LandingRefused
from ._meter import LagHistogram as LagHistogram
from ._meter import LagSummary as LagSummary
from ._meter import Meter as Meter
from ._player import Played as Played
from ._player import Player as Player
from ._player import ReplayMismatch as ReplayMismatch
from ._player import Timetable as Timetable
from ._progress import ProgressDisplay as ProgressDisplay
from ._recorder import ClientLog as ClientLog
from ._recorder import Recorder as Recorder
from ._recording import Recording as Recording
from ._recording import load_recordings as load_recordings
from ._render import console_for as console_for
from ._render import render as render
from ._render import render_guarantees as render_guarantees
from ._report import EXIT_BROKEN as EXIT_BROKEN
from ._report import EXIT_INTERRUPTED as EXIT_INTERRUPTED
from ._report import EXIT_NOT_CONVERGED as EXIT_NOT_CONVERGED
from ._report import EXIT_OK as EXIT_OK
from ._report import EXIT_USAGE as EXIT_USAGE
from ._report import RunReport as RunReport
from ._report import package_version as package_version
from ._sampling import sample as sample
from ._sampling import sample_for_ever as sample_for_ever
from ._trace import Step as Step
from ._trace import Trace as Trace
from ._trace import TraceError as TraceError
from ._trace import TraceNotFound as TraceNotFound
from ._trace import find_trace as find_trace
from ._trace import load_trace as load_trace
from ._trace import shipped_traces as shipped_traces
from ._trace_run import RunOptions as RunOptions
from ._trace_run import TraceRun as TraceRun
from ._trace_run import catch_up as catch_up
from ._trace_run import open_resources as open_resources
from ._trace_run import store_histories as store_histories
from ._verify import verify as verify
from .judges import ALL_JUDGES as ALL_JUDGES
from .judges import Verdict as Verdict
from .judges import judge_all as judge_all
