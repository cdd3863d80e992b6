"""Kubernetes' controllers, each written as a user would write one: on informers, a work queue and a client, and on nothing else.

Every controller is two files. One decides: a pure function from what was seen to what is to be written. The other acts: it
reads its informers, calls that function, and makes the writes. Rates, delays and limits are options.
"""

from ._daemon_set import DaemonSetController as DaemonSetController
from ._daemon_set import DaemonSetOptions as DaemonSetOptions
from ._deployment import DeploymentController as DeploymentController
from ._deployment import DeploymentOptions as DeploymentOptions
from ._deployment import restart_rollout as restart_rollout
from ._deployment import undo_rollout as undo_rollout
from ._job import JobController as JobController
from ._job_decision import JobOptions as JobOptions
from ._replica_set import ReplicaSetController as ReplicaSetController
from ._replica_set import ReplicaSetOptions as ReplicaSetOptions
from ._stateful_set import StatefulSetController as StatefulSetController
from ._stateful_set import StatefulSetOptions as StatefulSetOptions
