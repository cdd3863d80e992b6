"""Whether what an etcd says of its watches' progress can be believed: a question of its version. Pure.

Before 3.4.31, and from 3.5.0 to 3.5.12, a server asked for progress may answer while events are still under way to the
watch. A cache that believed it would serve old state as new (etcd #15220, #17507).

Source: kubernetes/apiserver pkg/storage/feature/feature_support_checker.go.
"""

from __future__ import annotations

import re

_SEMANTIC = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_FIRST_OF_3_4 = (3, 4, 31)
_FIRST_OF_3_5 = (3, 5, 13)


def tells_progress(version: str) -> bool:
    """True if a server of this version tells the truth; False also of a text that is no version.

    Differs: a server made before 3.5.0 was released counts as one of 3.5 here, and as one of 3.4 there.
    """
    numbers = _SEMANTIC.fullmatch(version)
    if numbers is None:
        return False
    release = int(numbers[1]), int(numbers[2]), int(numbers[3])
    first = _FIRST_OF_3_5 if release[:2] == (3, 5) else _FIRST_OF_3_4
    return release > first or (release == first and not numbers[4])  # 3.5.13-rc.0 came before 3.5.13
