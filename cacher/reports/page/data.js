// The data of the page: unpacked once, columns turned from differences into values. Times are seconds from here on.

const NEVER = -1;

async function unpack(base64) {
  const text = atob(base64.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

function summed(differences, Column, unit = 1) {
  const column = new Column(differences.length);
  let sum = 0;
  for (let i = 0; i < differences.length; i++) column[i] = (sum += differences[i]) / unit;
  return column;
}

const seconds = (differences) => summed(differences, Float64Array, 1e6);

function decodeTimeline(timeline, breaches) {
  const columns = timeline.versions;
  const versions = {
    keys: columns.keys, uids: columns.uids, key: columns.key, uid: columns.uid, change: columns.change,
    request: columns.request, revision: summed(columns.revision, Float64Array), at: seconds(columns.at_us),
  };
  versions.next = nextOfKey(versions);
  const lanes = timeline.lanes.map((lane, number) => ({
    number, name: lane.name, kind: lane.kind, under: lane.under, note: lane.note, seesAll: lane.sees_all,
    prefix: lane.prefix, leftOut: lane.left_out, at: seconds(lane.at_us), kinds: lane.kind_of,
    ref: summed(lane.ref, Float64Array),
  }));
  lanes.forEach((lane) => { lane.streamed = streamedOf(lane); });
  const requests = timeline.requests.map((one) => ({ ...one, at: one.at_us / 1e6, done: one.done_us / 1e6 }));
  const bands = timeline.bands.map((one) => ({ ...one, from: one.from_us / 1e6, to: one.to_us / 1e6 }));
  const plots = timeline.plots.map((plot) => ({
    ...plot, lines: plot.lines.map((line) => ({ label: line.label, at: seconds(line.at_us), values: line.values })),
  }));
  return {
    end: timeline.end_us / 1e6, lanes, versions, requests, bands, plots, listings: timeline.listings,
    texts: timeline.texts, breaches: breaches.map((one) => ({ ...one, at: one.at_us / 1e6 })),
    marksSeen: timeline.marks_seen, leftOut: timeline.lanes_left_out, leftOutCount: timeline.lanes_left_out_count,
  };
}

// Which marks belong to a streamed state: their objects may be old without being late.
function streamedOf(lane) {
  const streamed = new Uint8Array(lane.kinds.length);
  if (!lane.kinds.includes("i")) return streamed;
  let isStreaming = 0;
  for (let i = 0; i < streamed.length; i++) {
    if (lane.kinds[i] === "i") isStreaming = 1;
    else if (lane.kinds[i] === "e" || lane.kinds[i] === "x" || lane.kinds[i] === "n" || lane.kinds[i] === "c") isStreaming = 0;
    streamed[i] = isStreaming;
  }
  return streamed;
}

// Of each version, the store's next one of the same key, and of each key the first: a walk from version to version in time.
function nextOfKey(versions) {
  const next = new Int32Array(versions.key.length).fill(NEVER);
  versions.first = new Int32Array(versions.keys.length).fill(NEVER);
  const last = new Int32Array(versions.keys.length).fill(NEVER);
  for (let number = 0; number < versions.key.length; number++) {
    if (versions.change[number] === "?") continue;
    const key = versions.key[number];
    if (last[key] === NEVER) versions.first[key] = number;
    else next[last[key]] = number;
    last[key] = number;
  }
  return next;
}

// The first index whose value is not below `value`, in a column that only rises.
function firstFrom(column, value, low = 0, high = column.length) {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (column[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function storedAt(versions, key, at) {
  let number = versions.first[key];
  if (number === NEVER || versions.at[number] > at) return NEVER;
  while (versions.next[number] !== NEVER && versions.at[versions.next[number]] <= at) number = versions.next[number];
  return number;
}

const plain = (key) => key.replace(/^\/registry\//, "");
const isEvent = (kind) => kind === "a" || kind === "m" || kind === "d";

function duration(s) {
  const size = Math.abs(s);
  if (size >= 100) return `${s.toFixed(0)} s`;
  if (size >= 1) return `${s.toFixed(2)} s`;
  if (size >= 1e-3) return `${(s * 1e3).toFixed(2)} ms`;
  return size === 0 ? "0 s" : `${(s * 1e6).toFixed(0)} µs`;
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children); // strings become text, never markup
  return made;
}
