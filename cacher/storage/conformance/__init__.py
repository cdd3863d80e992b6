"""What every `storage.Interface` promises, as cases that any implementation can be run against.

    from cacher.storage import conformance

    @asynccontextmanager
    async def open_mine():
        async with open_embedded_etcd(random=Random(1)) as etcd:
            tapped = conformance.TappedEtcd(etcd)
            yield conformance.Fixture(MyStorage(tapped), etcd=tapped)

    await conformance.run(open_mine)                             # all of them, each on a storage of its own

    @pytest.mark.parametrize("case", conformance.CASES, ids=str)     # or one by one
    def test_my_storage(case): ...

A case is about all storages or about cached ones alone (`Case.runs_on`), and its docstring names the row of Kubernetes' own
storage tests that it stands for. Where releases differ it says both answers, and `Fixture.semantics` which one is wanted. They
need trio's time to be virtual, or patience: some wait for minutes.
Source: kubernetes/apiserver pkg/storage/testing (store_tests.go, watcher_tests.go), as facts; no code of it is here.
"""

# The modules with cases add theirs when they are imported.
from . import (  # noqa: F401
    _creates,
    _deletes,
    _keys,
    _list_rows,
    _lists,
    _not_ready,
    _paging,
    _updates,
    _watch_bookmarks,
    _watch_lists,
    _watch_scopes,
    _watches,
)
from ._case import CASES as CASES
from ._case import Case as Case
from ._case import On as On
from ._case import OpenStorage as OpenStorage
from ._case import run as run
from ._expect import raises as raises
from ._fixture import Fixture as Fixture
from ._fixture import pod as pod
from ._tapped_etcd import TappedEtcd as TappedEtcd
