"""How all other built-in objects are shown in tables. Pure.

Source: kubernetes pkg/printers/internalversion/printers.go; kube-aggregator pkg/registry/apiservice (rest).
"""

from __future__ import annotations

from typing import Any

from ._meta import JSONObject, deletion_timestamp_of, metadata, name_of
from ._printing import (
    AGE,
    NAME,
    NONE,
    SELECTOR,
    UNKNOWN,
    UNSET,
    Printer,
    age,
    at,
    column,
    condition,
    count,
    is_true,
    items,
    joined,
    labels_text,
    number,
    since,
    some,
    word,
)

# ---- nodes and namespaces ----------------------------------------------------------------------------------------------

_STATUS = column("Status", "string", "What state it is in.")
_NODE_COLUMNS = (
    NAME,
    _STATUS,
    column("Roles", "string", "What it is for, by its labels."),
    AGE,
    column("Version", "string", "Of its kubelet."),
    column("Internal-IP", "string", "Its address within the cluster.", priority=1),
    column("External-IP", "string", "Its address as seen from elsewhere.", priority=1),
    column("OS-Image", "string", "Its operating system.", priority=1),
    column("Kernel-Version", "string", "Of its operating system.", priority=1),
    column("Container-Runtime", "string", "What runs its containers.", priority=1),
)
_ROLE_PREFIX, _ROLE_LABEL = "node-role.kubernetes.io/", "kubernetes.io/role"


def _node_cells(node: JSONObject, now_s: float) -> list[Any]:
    ready = condition(node, "Ready")
    status = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if at(node, "spec", "unschedulable") is True:
        status.append("SchedulingDisabled")
    labels = metadata(node).get("labels") or {}
    roles = {name.removeprefix(_ROLE_PREFIX) for name in labels if name.startswith(_ROLE_PREFIX)}
    roles |= {labels[_ROLE_LABEL]} if labels.get(_ROLE_LABEL) else set()
    info = at(node, "status", "nodeInfo")
    return [
        name_of(node),
        ",".join(status),
        ",".join(sorted(role for role in roles if role)) or NONE,
        age(node, now_s),
        word(info, "kubeletVersion"),
        _address(node, "InternalIP"),
        _address(node, "ExternalIP"),
        word(info, "osImage") or UNKNOWN,
        word(info, "kernelVersion") or UNKNOWN,
        word(info, "containerRuntimeVersion") or UNKNOWN,
    ]


def _address(node: JSONObject, type_: str) -> str:
    found = [word(one, "address") for one in items(node, "status", "addresses") if at(one, "type") == type_]
    return found[0] if found else NONE


def _namespace_cells(obj: JSONObject, now_s: float) -> list[Any]:
    return [name_of(obj), word(obj, "status", "phase"), age(obj, now_s)]


# ---- services ----------------------------------------------------------------------------------------------------------

_SERVICE_COLUMNS = (
    NAME,
    column("Type", "string", "How it is reached."),
    column("Cluster-IP", "string", "Its address within the cluster."),
    column("External-IP", "string", "Its addresses as seen from elsewhere."),
    column("Port(s)", "string", "Its ports, and those of nodes that lead to them."),
    AGE,
    SELECTOR,
)


def _service_cells(obj: JSONObject, now_s: float) -> list[Any]:
    spec = at(obj, "spec")
    addresses = items(spec, "clusterIPs")
    ports = ",".join(_service_port(port) for port in items(spec, "ports"))
    return [
        name_of(obj),
        word(spec, "type"),
        addresses[0] if addresses else NONE,
        _external(obj),
        ports or NONE,
        age(obj, now_s),
        labels_text(at(spec, "selector")),
    ]


def _service_port(port: Any) -> str:
    node_port = number(port, "nodePort")
    shown = f"{number(port, 'port')}:{node_port}" if node_port else str(number(port, "port"))
    return f"{shown}/{word(port, 'protocol')}"


def _external(obj: JSONObject) -> str:
    spec = at(obj, "spec")
    external = joined(spec, "externalIPs")
    match word(spec, "type"):
        case "ClusterIP" | "NodePort":
            return external or NONE
        case "LoadBalancer":
            return ",".join(filter(None, [*_balancers(obj), external])) or "<pending>"
        case "ExternalName":
            return word(spec, "externalName")
    return UNKNOWN


def _balancers(obj: JSONObject) -> list[str]:
    found = (word(one, "ip") or word(one, "hostname") for one in items(obj, "status", "loadBalancer", "ingress"))
    return sorted({address for address in found if address})


_ENDPOINTS_COLUMNS = (NAME, column("Endpoints", "string", "Where the service's pods are."), AGE)


def _endpoints_cells(obj: JSONObject, now_s: float) -> list[Any]:
    found: list[str] = []
    for subset in items(obj, "subsets"):
        addresses = [word(one, "ip") for one in items(subset, "addresses")]
        ports = items(subset, "ports")
        found += [_host_port(ip, number(port, "port")) for port in ports for ip in addresses] if ports else addresses
    shown = some(found, empty="") if items(obj, "subsets") else NONE
    return [name_of(obj), shown, age(obj, now_s)]


def _host_port(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


_SLICE_COLUMNS = (
    NAME,
    column("AddressType", "string", "Of which family its addresses are."),
    column("Ports", "string", "The ports of the service's pods."),
    column("Endpoints", "string", "Where the service's pods are."),
    AGE,
)


def _slice_cells(obj: JSONObject, now_s: float) -> list[Any]:
    ports = [str(at(port, "port") or word(port, "name") or "*") for port in items(obj, "ports")]
    addresses = [address for one in items(obj, "endpoints") for address in items(one, "addresses")]
    return [name_of(obj), word(obj, "addressType"), some(ports), some(addresses), age(obj, now_s)]


_INGRESS_COLUMNS = (
    NAME,
    column("Class", "string", "Who is to carry it out."),
    column("Hosts", "string", "For which names of hosts it is."),
    column("Address", "string", "Where it is reached."),
    column("Ports", "string", "At which ports."),
    AGE,
)


def _ingress_cells(obj: JSONObject, now_s: float) -> list[Any]:
    rules = items(obj, "spec", "rules")
    hosts = [host for rule in rules[:3] if (host := word(rule, "host"))]
    shown = ",".join(hosts) or "*"
    if hosts and len(rules) > 3 and len(hosts) == 3:
        shown += f" + {len(rules) - 3} more..."
    ports = "80, 443" if items(obj, "spec", "tls") else "80"
    class_ = at(obj, "spec", "ingressClassName")
    return [name_of(obj), NONE if class_ is None else class_, shown, ",".join(_balancers(obj)), ports, age(obj, now_s)]


_IP_COLUMNS = (NAME, column("ParentRef", "string", "Who has it."))


def _ip_cells(obj: JSONObject, now_s: float) -> list[Any]:
    parent = at(obj, "spec", "parentRef")
    shown = NONE
    if parent is not None:
        group, resource = word(parent, "group"), word(parent, "resource")
        parts = [f"{resource}.{group}" if group else resource, word(parent, "namespace"), word(parent, "name")]
        shown = "/".join(part for part in (parts[0].lower(), *parts[1:]) if part)
    return [name_of(obj), shown, age(obj, now_s)]


_CIDR_COLUMNS = (NAME, column("CIDRs", "string", "The addresses that services may have."), AGE)


def _cidr_cells(obj: JSONObject, now_s: float) -> list[Any]:
    return [name_of(obj), joined(obj, "spec", "cidrs"), age(obj, now_s)]


# ---- what pods are given -----------------------------------------------------------------------------------------------

_DATA = column("Data", "string", "How many members it has.")
_TYPE = column("Type", "string", "What it is for.")


def _config_map_cells(obj: JSONObject, now_s: float) -> list[Any]:
    return [name_of(obj), count(obj, "data") + count(obj, "binaryData"), age(obj, now_s)]


def _secret_cells(obj: JSONObject, now_s: float) -> list[Any]:
    return [name_of(obj), word(obj, "type"), count(obj, "data"), age(obj, now_s)]


_ACCOUNT_COLUMNS = (NAME, column("Secrets", "string", "How many secrets its pods may use."), AGE)


def _account_cells(obj: JSONObject, now_s: float) -> list[Any]:
    return [name_of(obj), len(items(obj, "secrets")), age(obj, now_s)]


_VOLUME_COLUMNS = (
    NAME,
    column("Capacity", "string", "How much it holds."),
    column("Access Modes", "string", "How it can be mounted."),
    column("Reclaim Policy", "string", "What becomes of it once its claim is gone."),
    _STATUS,
    column("Claim", "string", "Whose it is."),
    column("StorageClass", "string", "Of which class it is."),
    column("VolumeAttributesClass", "string", "Which attributes it has."),
    column("Reason", "string", "Why it is in that state."),
    AGE,
    column("VolumeMode", "string", "Whether it is a file system or a block device.", priority=1),
)
_CLAIM_COLUMNS = (
    NAME,
    _STATUS,
    column("Volume", "string", "Which volume it has."),
    *_VOLUME_COLUMNS[1:3],
    *_VOLUME_COLUMNS[6:8],
    AGE,
    _VOLUME_COLUMNS[-1],
)
_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def _volume_cells(obj: JSONObject, now_s: float) -> list[Any]:
    spec, claim = at(obj, "spec"), at(obj, "spec", "claimRef")
    return [
        name_of(obj),
        str(at(spec, "capacity", "storage") or "0"),
        _modes(items(spec, "accessModes")),
        word(spec, "persistentVolumeReclaimPolicy"),
        _phase(obj),
        f"{word(claim, 'namespace')}/{word(claim, 'name')}" if claim is not None else "",
        _class(obj),
        _or_unset(at(spec, "volumeAttributesClassName")),
        word(obj, "status", "reason"),
        age(obj, now_s),
        _or_unset(at(spec, "volumeMode")),
    ]


def _claim_cells(obj: JSONObject, now_s: float) -> list[Any]:
    spec, volume = at(obj, "spec"), word(obj, "spec", "volumeName")
    return [
        name_of(obj),
        _phase(obj),
        volume,
        str(at(obj, "status", "capacity", "storage") or "0") if volume else "",
        _modes(items(obj, "status", "accessModes")) if volume else "",
        _class(obj),
        _or_unset(at(spec, "volumeAttributesClassName")),
        age(obj, now_s),
        _or_unset(at(spec, "volumeMode")),
    ]


def _phase(obj: JSONObject) -> str:
    return "Terminating" if deletion_timestamp_of(obj) else word(obj, "status", "phase")


def _modes(modes: list[Any]) -> str:
    return ",".join(short for mode, short in _MODES.items() if mode in modes)


def _class(obj: JSONObject) -> str:
    annotations = metadata(obj).get("annotations") or {}
    return annotations[_CLASS_ANNOTATION] if _CLASS_ANNOTATION in annotations else word(obj, "spec", "storageClassName")


def _or_unset(value: Any) -> str:
    return UNSET if value is None else str(value)


# ---- limits ------------------------------------------------------------------------------------------------------------

_QUOTA_COLUMNS = (
    NAME,
    column("Request", "string", "What is used, and may be, of what pods ask for."),
    column("Limit", "string", "What is used, and may be, of what pods are limited to."),
    AGE,
)


def _quota_cells(obj: JSONObject, now_s: float) -> list[Any]:
    hard, used = at(obj, "status", "hard") or {}, at(obj, "status", "used") or {}
    shown = [(name, f"{name}: {used.get(name, '0')}/{hard[name]}") for name in sorted(hard)]
    limits = [text for name, text in shown if name.startswith("limits.")]
    requests = [text for name, text in shown if not name.startswith("limits.")]
    return [name_of(obj), ", ".join(requests), ", ".join(limits), age(obj, now_s)]


_BUDGET_COLUMNS = (
    NAME,
    column("Min Available", "string", "How many pods must stay."),
    column("Max Unavailable", "string", "How many pods may be missing."),
    column("Allowed Disruptions", "integer", "How many pods may be taken now."),
    AGE,
)


def _budget_cells(obj: JSONObject, now_s: float) -> list[Any]:
    lowest, highest = at(obj, "spec", "minAvailable"), at(obj, "spec", "maxUnavailable")
    return [
        name_of(obj),
        "N/A" if lowest is None else str(lowest),
        "N/A" if highest is None else str(highest),
        number(obj, "status", "disruptionsAllowed"),
        age(obj, now_s),
    ]


_PRIORITY_COLUMNS = (
    NAME,
    column("Value", "integer", "How important its pods are."),
    column("Global-Default", "boolean", "Whether pods that name none are of it."),
    AGE,
    column("PreemptionPolicy", "string", "Whether its pods take the place of others."),
)


def _priority_cells(obj: JSONObject, now_s: float) -> list[Any]:
    is_default = at(obj, "globalDefault") is True
    return [name_of(obj), number(obj, "value"), is_default, age(obj, now_s), word(obj, "preemptionPolicy")]


_FLOW_COLUMNS = (
    NAME,
    column("PriorityLevel", "string", "Where its requests wait."),
    column("MatchingPrecedence", "string", "Which flow a request is of that several match."),
    column("DistinguisherMethod", "string", "How its requests are told apart."),
    AGE,
    column("MissingPL", "string", "Whether there is no such place to wait."),
)


def _flow_cells(obj: JSONObject, now_s: float) -> list[Any]:
    spec, dangling = at(obj, "spec"), condition(obj, "Dangling")
    method = at(spec, "distinguisherMethod")
    return [
        name_of(obj),
        word(spec, "priorityLevelConfiguration", "name"),
        number(spec, "matchingPrecedence"),
        NONE if method is None else word(method, "type"),
        age(obj, now_s),
        "?" if dangling is None else dangling.get("status", ""),
    ]


_LEVEL_COLUMNS = (
    NAME,
    _TYPE,
    column("NominalConcurrencyShares", "string", "Its share of what is served at once."),
    column("Queues", "string", "How many queues it has."),
    column("HandSize", "string", "How many of them a flow may use."),
    column("QueueLengthLimit", "string", "How long each may be."),
    AGE,
)


def _level_cells(obj: JSONObject, now_s: float) -> list[Any]:
    limited = at(obj, "spec", "limited")
    queuing = at(limited, "limitResponse", "queuing")
    shares = NONE if limited is None else number(limited, "nominalConcurrencyShares")
    queues = [NONE if queuing is None else number(queuing, name) for name in ("queues", "handSize", "queueLengthLimit")]
    return [name_of(obj), word(obj, "spec", "type"), shares, *queues, age(obj, now_s)]


# ---- events and leases -------------------------------------------------------------------------------------------------

_EVENT_COLUMNS = (
    column("Last Seen", "string", "How long ago it happened last."),
    _TYPE,
    column("Reason", "string", "What happened, in a word."),
    column("Object", "string", "To what."),
    column("Subobject", "string", "To which part of it.", priority=1),
    column("Source", "string", "Who says so.", priority=1),
    column("Message", "string", "What happened."),
    column("First Seen", "string", "How long ago it happened first.", priority=1),
    column("Count", "string", "How often.", priority=1),
    {**NAME, "priority": 1},
)


def _event_cells(obj: JSONObject, now_s: float) -> list[Any]:
    first = since(word(obj, "firstTimestamp") or word(obj, "eventTime"), now_s)
    last = since(word(obj, "lastTimestamp"), now_s) if word(obj, "lastTimestamp") else first
    times = number(obj, "count") or 1
    if (series := at(obj, "series")) is not None:
        last, times = since(word(series, "lastObservedTime"), now_s), number(series, "count")
    about = at(obj, "involvedObject")
    target = "/".join(part for part in (word(about, "kind").lower(), word(about, "name")) if part)
    source = [
        word(obj, "source", "component") or word(obj, "reportingComponent"),
        word(obj, "source", "host") or word(obj, "reportingInstance"),
    ]
    return [
        last,
        word(obj, "type"),
        word(obj, "reason"),
        target,
        word(about, "fieldPath"),
        ", ".join(source) if source[1] else source[0],
        word(obj, "message").strip(),
        first,
        times,
        name_of(obj),
    ]


_LEASE_COLUMNS = (NAME, column("Holder", "string", "Who has it."), AGE)


def _lease_cells(obj: JSONObject, now_s: float) -> list[Any]:
    return [name_of(obj), word(obj, "spec", "holderIdentity"), age(obj, now_s)]


_API_SERVICE_COLUMNS = (
    NAME,
    column("Service", "string", "What serves the group version."),
    column("Available", "string", "Whether it does."),
    AGE,
)


def _api_service_cells(obj: JSONObject, now_s: float) -> list[Any]:
    service = at(obj, "spec", "service")
    shown = "Local" if service is None else f"{word(service, 'namespace')}/{word(service, 'name')}"
    available = condition(obj, "Available")
    state = "Unknown"
    if available is not None:
        state = "True" if is_true(obj, "Available") else f"{available.get('status')} ({available.get('reason', '')})"
    return [name_of(obj), shown, state, age(obj, now_s)]


_FLOW = "flowcontrol.apiserver.k8s.io/v1"
OBJECTS: dict[tuple[str, str], Printer] = {
    ("v1", "configmaps"): Printer((NAME, _DATA, AGE), _config_map_cells),
    ("v1", "endpoints"): Printer(_ENDPOINTS_COLUMNS, _endpoints_cells),
    ("v1", "events"): Printer(_EVENT_COLUMNS, _event_cells),
    ("v1", "namespaces"): Printer((NAME, _STATUS, AGE), _namespace_cells),
    ("v1", "nodes"): Printer(_NODE_COLUMNS, _node_cells),
    ("v1", "persistentvolumeclaims"): Printer(_CLAIM_COLUMNS, _claim_cells),
    ("v1", "persistentvolumes"): Printer(_VOLUME_COLUMNS, _volume_cells),
    ("v1", "resourcequotas"): Printer(_QUOTA_COLUMNS, _quota_cells),
    ("v1", "secrets"): Printer((NAME, _TYPE, _DATA, AGE), _secret_cells),
    ("v1", "serviceaccounts"): Printer(_ACCOUNT_COLUMNS, _account_cells),
    ("v1", "services"): Printer(_SERVICE_COLUMNS, _service_cells),
    ("apiregistration.k8s.io/v1", "apiservices"): Printer(_API_SERVICE_COLUMNS, _api_service_cells),
    ("coordination.k8s.io/v1", "leases"): Printer(_LEASE_COLUMNS, _lease_cells),
    ("discovery.k8s.io/v1", "endpointslices"): Printer(_SLICE_COLUMNS, _slice_cells),
    (_FLOW, "flowschemas"): Printer(_FLOW_COLUMNS, _flow_cells),
    (_FLOW, "prioritylevelconfigurations"): Printer(_LEVEL_COLUMNS, _level_cells),
    ("networking.k8s.io/v1", "ingresses"): Printer(_INGRESS_COLUMNS, _ingress_cells),
    ("networking.k8s.io/v1", "ipaddresses"): Printer(_IP_COLUMNS, _ip_cells),
    ("networking.k8s.io/v1", "servicecidrs"): Printer(_CIDR_COLUMNS, _cidr_cells),
    ("policy/v1", "poddisruptionbudgets"): Printer(_BUDGET_COLUMNS, _budget_cells),
    ("scheduling.k8s.io/v1", "priorityclasses"): Printer(_PRIORITY_COLUMNS, _priority_cells),
}
