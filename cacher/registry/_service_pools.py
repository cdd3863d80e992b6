"""What services are given: a cluster IP, node ports. A change is made at once, and taken back if the write fails.

    take, take, …, release later ──► finish(True): what was to be released is; finish(False): what was taken is given back

Source: kubernetes pkg/registry/core/service/storage/alloc.go, transaction.go, pkg/registry/core/service/ipallocator,
portallocator.
Differs: one family of addresses (dual stack is refused as on a cluster without it).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ._ip_addresses import IPAddress, family_of, parse_ip
from ._meta import JSONObject
from ._pools import Pool, static_part

if TYPE_CHECKING:
    from random import Random

CLUSTER_CIDR = "10.96.0.0/12"
"""What kubeadm gives a cluster."""
NODE_PORTS = range(30000, 32768)
NONE = "None"
"""The cluster IP of a service that has none."""


class Taken(Exception):
    """A number cannot be had: why."""


class ServicePools:
    """The cluster IPs and node ports of one registry's services.

    Args:
        cidr: the addresses; its first is nobody's, nor in IPv4 its last.
        node_ports: the ports.
        random: draws.
    """

    def __init__(self, random: Random, *, cidr: str = CLUSTER_CIDR, node_ports: range = NODE_PORTS) -> None:
        self.network = ipaddress.ip_network(cidr)
        self.family = family_of(self.network.network_address)
        self.node_ports = node_ports
        size = min(self.network.num_addresses, 2**32)
        usable = max(0, size - (2 if self.network.version == 4 else 1))
        self._ips = Pool(usable, static=static_part(size, most=256, step=16), draw=random.randrange)
        self._ports = Pool(
            len(node_ports), static=static_part(len(node_ports), most=128, step=32), draw=random.randrange
        )

    def hold(self, service: JSONObject) -> None:
        """Note what a service that is there has."""
        for offset in self._ip_offsets(service):
            self._ips.take(offset)
        for port in ports_of(service):
            if port in self.node_ports:
                self._ports.take(port - self.node_ports.start)

    def release(self, service: JSONObject) -> None:
        """Take back what a service that is gone had."""
        self.free(tuple(cluster_ips(service)), tuple(ports_of(service)))

    def free(self, addresses: tuple[str, ...], ports: tuple[int, ...]) -> None:
        """Take addresses and ports back. Those of no range are nobody's."""
        self._ips.free(offset for address in addresses if (offset := self._offset(parse_ip(address))) is not None)
        self._ports.free(port - self.node_ports.start for port in ports if port in self.node_ports)

    def take_ip(self, address: str = "") -> str:
        """That address, or any.

        Raises:
            Taken.
        """
        if not address:
            offset = self._ips.take_any()
            if offset is None:
                raise Taken("range is full")
            return str(self.network.network_address + offset + 1)
        parsed = parse_ip(address)
        if parsed is None or parsed not in self.network:
            raise Taken("the provided network does not match the current range")
        found = self._offset(parsed)
        if found is None:
            raise Taken(f"provided IP {address} is not in the valid range")
        if not self._ips.take(found):
            raise Taken("provided IP is already allocated")
        return address

    def take_port(self, port: int = 0) -> int:
        """That port, or any.

        Raises:
            Taken.
        """
        ports = self.node_ports
        if not port:
            offset = self._ports.take_any()
            if offset is None:
                raise Taken("range is full")
            return ports.start + offset
        if port not in ports:
            shown = f"{ports.start}-{ports.stop - 1}"
            raise Taken(f"provided port is not in the valid range. The range of valid ports is {shown}")
        if not self._ports.take(port - ports.start):
            raise Taken("provided port is already allocated")
        return port

    def _ip_offsets(self, service: JSONObject) -> Iterator[int]:
        for address in cluster_ips(service):
            if (offset := self._offset(parse_ip(address))) is not None:
                yield offset

    def _offset(self, address: IPAddress | None) -> int | None:
        if address is None or address not in self.network:
            return None
        offset = int(address) - int(self.network.network_address) - 1
        return offset if 0 <= offset < self._ips.size else None


class Drawing:
    """What one write takes from the pools, and gives back if it fails, or once it succeeded."""

    def __init__(self, pools: ServicePools, *, dry_run: bool) -> None:
        self._pools = pools
        self._dry_run = dry_run
        self._taken: tuple[list[str], list[int]] = ([], [])
        self._released: tuple[list[str], list[int]] = ([], [])

    def ip(self, address: str = "") -> str:
        """As ServicePools.take_ip. A dry run shows the range's own address, and takes none."""
        if self._dry_run:
            return address or str(self._pools.network.network_address)
        taken = self._pools.take_ip(address)
        self._taken[0].append(taken)
        return taken

    def port(self, port: int = 0) -> int:
        """As ServicePools.take_port. What a dry run takes, it gives back."""
        taken = self._pools.take_port(port)
        self._taken[1].append(taken)
        return taken

    def release_later(self, addresses: tuple[str, ...] = (), ports: tuple[int, ...] = ()) -> None:
        """Once the write has succeeded."""
        self._released[0].extend(addresses)
        self._released[1].extend(ports)

    def finish(self, success: bool) -> None:
        """The write has ended."""
        given_back = self._released if success and not self._dry_run else ([], [])
        if not success or self._dry_run:
            given_back = self._taken
        self._pools.free(tuple(given_back[0]), tuple(given_back[1]))


def cluster_ips(service: JSONObject) -> list[str]:
    """The addresses that a service has of the pool."""
    spec = service.get("spec") or {}
    return [] if spec.get("type") == "ExternalName" else [ip for ip in spec.get("clusterIPs") or [] if ip != NONE]


def ports_of(service: JSONObject) -> list[int]:
    """The ports that a service has of the pool."""
    spec = service.get("spec") or {}
    ports = [port["nodePort"] for port in spec.get("ports") or [] if port.get("nodePort")]
    return [*ports, spec["healthCheckNodePort"]] if spec.get("healthCheckNodePort") else ports
