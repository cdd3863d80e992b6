"""Kubernetes' API over HTTP: what kubectl and other clients talk to.

open_server(cluster, …) → Server → .url
"""

from ._auth import Attributes as Attributes
from ._auth import Authenticator as Authenticator
from ._auth import User as User
from ._http import Limits as Limits
from ._server import Backend as Backend
from ._server import Server as Server
from ._server import ServerOptions as ServerOptions
from ._server import open_server as open_server
