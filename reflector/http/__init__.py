"""reflector.http: an API server over HTTP, seen as a Client whose resources a Reflector mirrors.

`connect` finds the server and who asks it; `Kubeconfig` and `ServerSettings` are for programs that want to look first.
"""

from __future__ import annotations

from ._answers import BadAnswer as BadAnswer
from ._answers import ServerRefused as ServerRefused
from ._client import HTTPClient as HTTPClient
from ._client import HTTPPart as HTTPPart
from ._client import HTTPResource as HTTPResource
from ._connect import connect as connect
from ._connection import ConnectionLost as ConnectionLost
from ._kubeconfig import Kubeconfig as Kubeconfig
from ._kubeconfig import KubeconfigError as KubeconfigError
from ._lister_watcher import HTTPListerWatcher as HTTPListerWatcher
from ._lister_watcher import ListsAreNotStreamed as ListsAreNotStreamed
from ._pool import Dial as Dial
from ._settings import ExecPlugin as ExecPlugin
from ._settings import Login as Login
from ._settings import ServerIdentity as ServerIdentity
from ._settings import ServerSettings as ServerSettings
from ._tls import TLSError as TLSError
