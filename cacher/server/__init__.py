"""The API over HTTP, for kubectl and every other client of Kubernetes."""

from ._auth import Attributes as Attributes
from ._auth import Authenticator as Authenticator
from ._auth import User as User
