"""Kubernetes' API over HTTP: what kubectl and other clients talk to.

open_server(cluster, …) → Server → .url
who may come in: Access over an Authenticator; certificates and the kubeconfig for those who serve
"""

from ..storage._metrics import MetricsSnapshot as MetricsSnapshot
from ..storage._metrics import Sample as Sample
from ._access import Access as Access
from ._auth import FULL as FULL
from ._auth import READERS as READERS
from ._auth import Authenticator as Authenticator
from ._auth import TokenFileError as TokenFileError
from ._auth import User as User
from ._auth import new_token as new_token
from ._auth import read_tokens as read_tokens
from ._certificates import Authority as Authority
from ._certificates import Certified as Certified
from ._certificates import TLSFilesError as TLSFilesError
from ._certificates import context_of_files as context_of_files
from ._certificates import issue_client as issue_client
from ._certificates import issue_server as issue_server
from ._certificates import kept_authority as kept_authority
from ._certificates import make_authority as make_authority
from ._certificates import server_context as server_context
from ._hosts import is_loopback as is_loopback
from ._http import Limits as Limits
from ._kubeconfig import KubeconfigRefused as KubeconfigRefused
from ._kubeconfig import check_writable as check_writable
from ._kubeconfig import kubeconfig_text as kubeconfig_text
from ._kubeconfig import write_kubeconfig as write_kubeconfig
from ._metrics_sum import lasting as lasting
from ._metrics_sum import sum_metrics as sum_metrics
from ._page import EVENTS_MAX as EVENTS_MAX
from ._page import EventState as EventState
from ._page import Overview as Overview
from ._page import Page as Page
from ._page import ResourceState as ResourceState
from ._page import WatcherState as WatcherState
from ._server import Backend as Backend
from ._server import Listening as Listening
from ._server import Server as Server
from ._server import ServerOptions as ServerOptions
from ._server import open_server as open_server
