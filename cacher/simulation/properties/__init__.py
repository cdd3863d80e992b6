"""Hypothesis beside the simulator: strategies for what a world is made of, and a state machine whose rules are a user and faults.

Needs the extra `watchcache[simulation]`. Nothing else imports it.

    class Flocks(WorldMachine):
        resources = {FLOCKS: objects(FLOCKS, members={"spec": flock_specs})}

        @classmethod
        def start(cls, world: World) -> None:
            world.start(flocks)

    TestFlocks = Flocks.TestCase
"""

from ._fault_strategies import actions as actions
from ._fault_strategies import fault_plans as fault_plans
from ._fault_strategies import faults as faults
from ._fault_strategies import triggers as triggers
from ._machine import BrokenWorld as BrokenWorld
from ._machine import WorldMachine as WorldMachine
from ._strategies import field_selectors as field_selectors
from ._strategies import label_selectors as label_selectors
from ._strategies import labels as labels
from ._strategies import objects as objects
from ._strategies import operations as operations
from ._strategies import selectors as selectors
