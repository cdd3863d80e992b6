// What a lane believed at a time, and what the store had then. The same as `belief_at` in Python.

function believedAt(run, lane, at) {
  const { versions, listings } = run;
  let state = new Map(), pending = null, revision = 0, heard = null, i = 0;
  for (; i < lane.at.length && lane.at[i] <= at; i++) {
    const kind = lane.kinds[i], ref = lane.ref[i];
    if (isEvent(kind)) {
      const into = pending || state;
      if (kind === "d") into.delete(versions.key[ref]);
      else into.set(versions.key[ref], ref);
      if (!pending) revision = Math.max(revision, versions.revision[ref]);
    } else if (kind === "l") {
      state = new Map(listings[ref].versions.map((version) => [versions.key[version], version]));
      revision = listings[ref].revision;
      pending = null;
    } else if (kind === "i") pending = new Map();
    else if (kind === "e" && pending) { state = pending; pending = null; revision = ref; }
    else if (kind === "b") revision = Math.max(revision, ref);
    else if (kind === "r") { state = new Map(); pending = null; revision = 0; }
    heard = lane.at[i];
  }
  const gap = lane.kinds[i] === "g" ? lane.ref[i] : 0; // what is left out lies between the mark before and this one
  return { state, revision, heard, gap, streaming: pending !== null };
}

function beliefRows(run, lane, at) {
  const { versions } = run;
  const belief = believedAt(run, lane, at);
  const wanted = new Set(belief.state.keys());
  if (lane.seesAll && lane.prefix) {
    versions.keys.forEach((key, number) => {
      if (!key.startsWith(lane.prefix)) return;
      const stored = storedAt(versions, number, at);
      if (stored !== NEVER && versions.change[stored] !== "d") wanted.add(number);
    });
  }
  const rows = [...wanted].map((key) => beliefRow(versions, key, belief.state.has(key) ? belief.state.get(key) : NEVER, at));
  rows.sort((a, b) => (a.standing === "same") - (b.standing === "same") || (a.key < b.key ? -1 : 1));
  return { belief, rows };
}

function beliefRow(versions, key, believed, at) {
  let stored = storedAt(versions, key, at);
  if (stored !== NEVER && versions.change[stored] === "d") stored = NEVER;
  const row = { key: versions.keys[key], believed, stored, standing: "same", since: 0 };
  if (believed === stored) return row;
  if (believed === NEVER) return { ...row, standing: "not known", since: versions.at[stored] };
  if (versions.change[believed] === "?" || versions.at[believed] > at) return { ...row, standing: "unknown to the store" };
  const since = versions.at[versions.next[believed]];
  if (stored === NEVER) return { ...row, standing: "gone", since };
  return { ...row, standing: versions.uid[believed] === versions.uid[stored] ? "behind" : "another object", since };
}
