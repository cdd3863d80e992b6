// The page asks what there is to see once a second, and shows it. It only reads, and puts nothing but text into the page.
"use strict";

const PERIOD_MS = 1000;
const EVENTS_MAX = 200;
const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat();
const KEYS_MAX = 2000;
const keys = new Set();
let seenMs = 0;
let seenEvents = 0;
let isFirst = true;
let latest = null;

function cell(content, kind) {
  const td = document.createElement("td");
  if (content instanceof Node) td.append(content);
  else td.textContent = typeof content === "number" ? number.format(content) : content;
  if (kind) td.className = kind;
  else if (typeof content === "number") td.className = "number";
  return td;
}

function row(...cells) {
  const tr = document.createElement("tr");
  tr.append(...cells);
  return tr;
}

function ring(length, capacity) {
  const box = document.createElement("span");
  const meter = document.createElement("meter");
  meter.max = capacity || 1;
  meter.value = length;
  box.append(meter, capacity ? ` ${number.format(length)}/${number.format(capacity)}` : " no cache");
  return box;
}

function showResources(state) {
  const shown = state.resources.filter((one) => $("all").checked || one.objects || one.events);
  $("resources").tBodies[0].replaceChildren(
    ...shown.map((one) =>
      row(
        cell(one.resource + (one.is_ready ? "" : " (being filled)")),
        cell(one.objects),
        cell(one.revision),
        cell(one.is_cached ? Math.max(0, state.revision - one.revision) : "–", "number"),
        cell(ring(one.ring_length, one.ring_capacity)),
        cell(one.watches),
        cell(one.views),
        cell(one.waiting),
        cell(one.events),
        cell(one.relists, one.relists ? "number bad" : "number"),
        cell(one.expired, one.expired ? "number bad" : "number"),
      ),
    ),
  );
}

function showWatchers(state) {
  $("watchers").tBodies[0].replaceChildren(
    ...[...state.watchers].sort((a, b) => b.watches - a.watches).map((one) => row(cell(one.resource), cell(one.selector), cell(one.watches), cell(one.waiting))),
  );
}

function showEvents(state) {
  const body = $("events").tBodies[0];
  const now = isFirst ? "before" : new Date().toLocaleTimeString();
  for (const one of state.events) {
    const key = `${one.revision} ${one.resource} ${one.namespace}/${one.name}`;
    if (keys.has(key)) continue;
    keys.add(key);
    const type = cell(one.type, one.type);
    body.prepend(row(cell(now), cell(one.revision), type, cell(one.resource), cell(one.namespace), cell(one.name)));
  }
  while (body.rows.length > EVENTS_MAX) body.lastElementChild.remove();
  for (const key of keys) {
    if (keys.size <= KEYS_MAX) break;
    keys.delete(key); // the oldest first
  }
}

function show(state) {
  const nowMs = performance.now();
  const events = state.resources.reduce((sum, one) => sum + one.events, 0);
  const rate = ((events - seenEvents) * 1000) / Math.max(1, nowMs - seenMs);
  $("rate").textContent = isFirst ? "…" : number.format(Math.max(0, Math.round(rate)));
  $("revision").textContent = number.format(state.revision);
  $("objects").textContent = number.format(state.resources.reduce((sum, one) => sum + one.objects, 0));
  $("watches").textContent = number.format(state.watches);
  $("connections").textContent = number.format(state.connections);
  showResources(state);
  showWatchers(state);
  showEvents(state);
  seenEvents = events;
  seenMs = nowMs;
  isFirst = false;
  latest = state;
  document.documentElement.dataset.ready = "1";
}

function tell(text, isLost) {
  $("status").textContent = text;
  $("status").className = isLost ? "lost" : "";
}

async function ask() {
  try {
    const answer = await fetch("/watchcache/state", { credentials: "same-origin", cache: "no-store" });
    if (answer.status === 401) {
      tell("logged out: load the page anew to see how to log in", true);
      return;
    }
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    show(await answer.json());
    tell(`as of ${new Date().toLocaleTimeString()}`, false);
  } catch (error) {
    tell(`the server does not answer (${error.message}); asking again`, true);
  }
  setTimeout(ask, PERIOD_MS);
}

$("all").addEventListener("change", () => latest && showResources(latest));
ask();
