// The space-time diagram: a lane for each part, time from left to right. Where marks are too dense to be told apart, a lane
// shows how many there are; closer, each is a mark with its arrow.

const LANE = 24, AXIS = 22, ARROWS_MAX = 1500, MARKS_APART = 3, HEIGHT_MAX = 560;
const WORDS = {
  a: "added", m: "modified", d: "deleted", b: "bookmark", e: "initial state complete", l: "list", o: "watch opened",
  i: "watch opened, its state first", c: "watch closed", n: "watch ended by its cache", x: "watch expired",
  r: "another life", g: "left out", w: "written", q: "request", s: "", p: "",
};

class Diagram {
  constructor(run, canvas, view, onPick) {
    Object.assign(this, { run, canvas, view, onPick, top: 0, hover: null, filter: "" });
    this.box = canvas.parentElement;
    this.pinned = run.lanes.filter((lane) => lane.kind === "store" || lane.kind === "workload");
    this.chooseLanes();
    this.listen();
  }

  chooseLanes() {
    const broken = new Set(this.run.breaches.map((one) => one.lane));
    const others = this.run.lanes.filter((lane) => !this.pinned.includes(lane) && lane.name.includes(this.filter));
    const isClient = (lane) => lane.kind === "client";
    others.sort((a, b) => isClient(a) - isClient(b) || (isClient(a) && broken.has(b.number) - broken.has(a.number)) || a.number - b.number);
    this.lanes = others;
    this.row = new Map([...this.pinned, ...others].map((lane, row) => [lane.number, row]));
    this.height = Math.min(HEIGHT_MAX, AXIS + (this.pinned.length + others.length) * LANE + 8);
    this.top = 0;
  }

  get gutter() { return Math.min(230, this.width * 0.28); }
  get hidden() { return Math.max(0, AXIS + (this.pinned.length + this.lanes.length) * LANE + 8 - this.height); }
  x(at) { return this.gutter + ((at - this.view.from) / (this.view.to - this.view.from)) * (this.width - this.gutter); }
  time(x) { return this.view.from + ((x - this.gutter) / (this.width - this.gutter)) * (this.view.to - this.view.from); }

  y(number) {
    const row = this.row.get(number);
    if (row === undefined) return null;
    const y = AXIS + (row + 0.5) * LANE;
    return row < this.pinned.length ? y : y - this.top;
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.width = Math.max(320, this.box.clientWidth);
    this.canvas.width = this.width * ratio;
    this.canvas.height = this.height * ratio;
    this.canvas.style.height = `${this.height}px`;
    this.context = this.canvas.getContext("2d");
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  draw() {
    if (!this.context || this.canvas.width === 0) this.resize();
    const c = this.context, colour = colours();
    c.clearRect(0, 0, this.width, this.height);
    c.font = "12px system-ui, sans-serif";
    c.textBaseline = "middle";
    this.drawAxis(c, colour);
    const fixed = AXIS + this.pinned.length * LANE;
    this.clipped(c, fixed, () => { this.drawBands(c, colour, false); this.lanes.forEach((lane) => this.drawLane(c, colour, lane)); });
    this.clipped(c, AXIS, () => { this.drawBands(c, colour, true); this.pinned.forEach((lane) => this.drawLane(c, colour, lane)); }, fixed);
    this.clipped(c, AXIS, () => { this.drawArrows(c, colour); this.drawBreaches(c, colour); this.drawCursor(c, colour); });
  }

  clipped(c, top, paint, bottom = this.height) {
    c.save();
    c.beginPath();
    c.rect(0, top, this.width, bottom - top);
    c.clip();
    paint();
    c.restore();
  }

  drawAxis(c, colour) {
    const step = niceStep((this.view.to - this.view.from) / Math.max(2, (this.width - this.gutter) / 110));
    c.fillStyle = colour.faint;
    c.strokeStyle = colour.line;
    for (let at = Math.ceil(this.view.from / step) * step; at <= this.view.to; at += step) {
      const x = this.x(at);
      c.beginPath(); c.moveTo(x, AXIS - 4); c.lineTo(x, this.height); c.stroke();
      if (x < this.width - 60) c.fillText(`${Number(at.toPrecision(10))} s`, x + 3, AXIS / 2);
    }
  }

  drawBands(c, colour, isPinned) {
    for (const band of this.run.bands) {
      const from = Math.max(this.gutter, this.x(band.from)), to = Math.min(this.width, this.x(band.to));
      if (to < this.gutter || from > this.width) continue;
      c.fillStyle = colour[band.kind];
      const rows = band.lanes.length ? this.withWatches(band.lanes) : null;
      const lanes = rows || (band.kind === "phase" ? [] : [...this.row.keys()]);
      for (const number of lanes) {
        const y = this.y(number);
        if (y === null || (this.row.get(number) < this.pinned.length) !== isPinned) continue;
        c.fillRect(from, y - LANE / 2 + 1, Math.max(2, to - from), LANE - 2);
      }
    }
  }

  withWatches(lanes) {
    return [...lanes, ...this.run.lanes.filter((lane) => lanes.includes(lane.under)).map((lane) => lane.number)];
  }

  drawLane(c, colour, lane) {
    const y = this.y(lane.number);
    if (y < 0 || y > this.height + LANE) return;
    c.strokeStyle = colour.line;
    c.beginPath(); c.moveTo(this.gutter, y); c.lineTo(this.width, y); c.stroke();
    c.fillStyle = lane.kind === "process" || lane.kind === "store" ? colour.text : colour.faint;
    c.fillText(fitted(c, lane.name, this.gutter - (lane.under >= 0 ? 26 : 14)), lane.under >= 0 ? 18 : 6, y);
    const low = firstFrom(lane.at, this.view.from), high = firstFrom(lane.at, this.view.to);
    if (high - low > (this.width - this.gutter) / MARKS_APART) this.drawDensity(c, colour, lane, y);
    else for (let i = low; i < high; i++) drawMark(c, colour, lane.kinds[i], this.x(lane.at[i]), y, this.outcome(lane, i));
  }

  outcome(lane, i) {
    return lane.kinds[i] === "q" ? this.run.requests[lane.ref[i]].outcome : "";
  }

  drawDensity(c, colour, lane, y) {
    const width = this.width - this.gutter, perPixel = (this.view.to - this.view.from) / width, counts = [];
    let low = firstFrom(lane.at, this.view.from), most = 1;
    for (let x = 0; x < width; x += 2) {
      const high = firstFrom(lane.at, this.view.from + (x + 2) * perPixel, low);
      counts.push(high - low);
      most = Math.max(most, high - low);
      low = high;
    }
    c.fillStyle = colour.event;
    counts.forEach((count, i) => {
      if (!count) return;
      const tall = Math.max(2, (LANE - 6) * Math.sqrt(count / most));
      c.fillRect(this.gutter + 2 * i, y - tall / 2, 2, tall);
    });
  }

  // Arrows from the write to whoever is told of it, and from whoever asks for a write to the store. Too many are thinned evenly;
  // those of the moments before a breach stay.
  drawArrows(c, colour) {
    const arrows = [], { versions, requests } = this.run, store = this.run.lanes.find((lane) => lane.kind === "store");
    if (!store) return;
    const top = this.y(store.number);
    for (const lane of this.lanes) {
      const y = this.y(lane.number);
      if (y < AXIS || y > this.height) continue;
      const low = firstFrom(lane.at, this.view.from), high = firstFrom(lane.at, this.view.to);
      if (high - low > (this.width - this.gutter) / MARKS_APART) continue; // a lane that shows how many there are
      for (let i = low; i < high; i++) {
        const ref = lane.ref[i];
        if (isEvent(lane.kinds[i]) && !lane.streamed[i] && versions.at[ref] > 0 && versions.at[ref] <= lane.at[i]) arrows.push([versions.at[ref], top, lane.at[i], y, "event"]);
        if (lane.kinds[i] === "q") for (const number of requests[ref].versions) arrows.push([lane.at[i], y, versions.at[number], top, "write"]);
      }
    }
    const breaches = this.run.breaches.map((one) => one.at), span = (this.view.to - this.view.from) / 40;
    const every = Math.ceil(arrows.length / ARROWS_MAX), alpha = arrows.length > 200 ? 0.2 : 0.65;
    arrows.forEach(([from, y, to, end, kind], number) => {
      if (number % every && !breaches.some((at) => to <= at && at - to < span)) return;
      drawArrow(c, Math.max(this.gutter, this.x(from)), y, this.x(to), end, colour[kind], alpha);
    });
  }

  drawBreaches(c, colour) {
    this.run.breaches.forEach((breach, number) => {
      const x = this.x(breach.at);
      if (x < this.gutter) return;
      const y = breach.lane >= 0 ? this.y(breach.lane) : null;
      c.strokeStyle = c.fillStyle = colour.bad;
      c.globalAlpha = number === this.picked ? 1 : 0.35;
      c.beginPath(); c.moveTo(x, AXIS); c.lineTo(x, this.height); c.stroke();
      c.globalAlpha = 1;
      if (y === null) return;
      c.beginPath(); c.moveTo(x, y + 2); c.lineTo(x - 7, y - 11); c.lineTo(x + 7, y - 11); c.fill();
    });
  }

  drawCursor(c, colour) {
    const x = this.x(this.view.at);
    if (x < this.gutter) return;
    c.strokeStyle = colour.cursor;
    c.setLineDash([4, 3]);
    c.beginPath(); c.moveTo(x, AXIS); c.lineTo(x, this.height); c.stroke();
    c.setLineDash([]);
  }

  // ---- what the pointer is at --------------------------------------------------------------------------------------------

  laneAt(y) {
    return [...this.pinned, ...this.lanes].find((lane) => {
      const middle = this.y(lane.number);
      const isUnder = this.row.get(lane.number) >= this.pinned.length && middle < AXIS + this.pinned.length * LANE;
      return !isUnder && Math.abs(middle - y) <= LANE / 2;
    });
  }

  nearest(lane, x) {
    const around = firstFrom(lane.at, this.time(x - 6)), until = firstFrom(lane.at, this.time(x + 6));
    let best = NEVER;
    for (let i = around; i < until; i++) {
      if (best === NEVER || Math.abs(this.x(lane.at[i]) - x) < Math.abs(this.x(lane.at[best]) - x)) best = i;
    }
    return best;
  }

  tell(x, y) {
    const lines = [], at = this.time(x), lane = this.laneAt(y);
    if (x < this.gutter) return lane ? [lane.name, lane.note, `${lane.at.length.toLocaleString()} marks`].concat(lane.leftOut ? [`${lane.leftOut.toLocaleString()} left out`] : []) : [];
    const breach = this.run.breaches.find((one) => Math.abs(this.x(one.at) - x) < 5);
    if (breach) lines.push(`broken: ${breach.guarantee}`, breach.message.slice(0, 400));
    const i = lane ? this.nearest(lane, x) : NEVER;
    if (i !== NEVER) lines.push(...markLines(this.run, lane, i));
    for (const band of this.run.bands) {
      const isHere = !band.lanes.length || (lane && this.withWatches(band.lanes).includes(lane.number));
      if (isHere && band.from <= at && at <= Math.max(band.to, band.from + 3 * (this.time(1) - this.time(0)))) lines.push(`${band.kind}: ${band.text}, ${duration(band.to - band.from)}`);
    }
    return lines;
  }

  // ---- moving ------------------------------------------------------------------------------------------------------------

  zoom(factor, at = (this.view.from + this.view.to) / 2) {
    const span = Math.min(this.run.end * 1.04, Math.max(1e-5, (this.view.to - this.view.from) * factor));
    const share = (at - this.view.from) / (this.view.to - this.view.from);
    this.show(at - share * span, at - share * span + span);
  }

  show(from, to) {
    const span = Math.min(to - from, this.run.end * 1.04);
    const start = Math.max(-0.02 * this.run.end, Math.min(from, this.run.end * 1.02 - span));
    this.view.from = start;
    this.view.to = start + span;
    this.view.changed();
  }

  scrollTo(number) {
    const row = this.row.get(number);
    if (row === undefined || row < this.pinned.length) return;
    const wanted = (row + 0.5) * LANE + AXIS - this.height / 2;
    this.top = Math.max(0, Math.min(this.hidden, wanted));
  }

  listen() {
    let grabbed = null;
    this.canvas.addEventListener("wheel", (event) => {
      if (event.ctrlKey || event.metaKey) this.zoom(Math.exp(event.deltaY * 0.002), this.time(event.offsetX));
      else if (this.hidden && !event.deltaX) {
        const before = this.top;
        this.top = Math.max(0, Math.min(this.hidden, this.top + event.deltaY));
        if (before === this.top) return;
        this.view.changed();
      } else return;
      event.preventDefault();
    }, { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => {
      grabbed = { x: event.offsetX, y: event.offsetY, from: this.view.from, top: this.top, moved: false };
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (grabbed && Math.abs(event.offsetX - grabbed.x) + Math.abs(event.offsetY - grabbed.y) > 3) grabbed.moved = true;
      if (grabbed && grabbed.moved) {
        const span = this.view.to - this.view.from;
        const from = grabbed.from - ((event.offsetX - grabbed.x) / (this.width - this.gutter)) * span;
        this.top = Math.max(0, Math.min(this.hidden, grabbed.top - (event.offsetY - grabbed.y)));
        this.show(from, from + span);
      } else showTip(event, this.tell(event.offsetX, event.offsetY));
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (grabbed && !grabbed.moved) this.onPick(this.time(Math.max(event.offsetX, this.gutter)), this.laneAt(event.offsetY));
      grabbed = null;
    });
    this.canvas.addEventListener("pointerleave", () => showTip(null, []));
    this.canvas.addEventListener("dblclick", (event) => this.zoom(0.3, this.time(event.offsetX)));
    this.canvas.addEventListener("keydown", (event) => {
      const span = this.view.to - this.view.from;
      const moves = { "+": () => this.zoom(0.6), "=": () => this.zoom(0.6), "-": () => this.zoom(1 / 0.6),
        ArrowLeft: () => this.show(this.view.from - span / 8, this.view.to - span / 8), ArrowRight: () => this.show(this.view.from + span / 8, this.view.to + span / 8) };
      if (event.key === "0") this.all();
      else if (moves[event.key]) moves[event.key]();
      else return;
      event.preventDefault();
    });
  }

  all() { this.show(-0.02 * this.run.end, 1.02 * this.run.end); }
}

function markLines(run, lane, i) {
  const kind = lane.kinds[i], ref = lane.ref[i], at = lane.at[i], { versions } = run;
  const lines = [`${at.toFixed(6)} s  ${lane.name}`];
  if (isEvent(kind) || kind === "w") {
    const change = kind === "w" ? WORDS[versions.change[ref]] : WORDS[kind];
    lines.push(`${change} ${plain(versions.keys[versions.key[ref]])}`, `revision ${versions.revision[ref]}${uidText(versions, ref)}`);
    if (kind !== "w" && versions.at[ref] > 0) lines.push(`age ${duration(at - versions.at[ref])}: written at ${versions.at[ref].toFixed(6)} s`);
    if (kind === "w" && versions.request[ref] >= 0) lines.push(`asked for by ${run.lanes[run.requests[versions.request[ref]].lane].name}`);
  } else if (kind === "q") lines.push(...requestLines(run, run.requests[ref]));
  else if (kind === "l") lines.push(`list of ${run.listings[ref].versions.length} objects at revision ${run.listings[ref].revision}`);
  else if (kind === "s" || kind === "p") lines.push(run.texts[ref]);
  else if (kind === "g") lines.push(`${ref.toLocaleString()} marks are left out before this`);
  else lines.push(`${WORDS[kind]}${ref && kind !== "r" ? `, revision ${ref}` : ""}`);
  return lines;
}

function requestLines(run, request) {
  const { versions } = run;
  const lines = [`${request.text}: ${request.outcome}`, `through ${request.server}, answered after ${duration(request.done - request.at)}`];
  if (request.beliefs.length) lines.push("decided on");
  for (const [version, server, readUs] of request.beliefs.slice(-4)) {
    const key = versions.key[version], stored = storedAt(versions, key, request.at);
    const now = stored === version || stored === NEVER ? "" : `; the store had ${versions.revision[stored]}${versions.change[stored] === "d" ? ", its deletion" : versions.uid[stored] === versions.uid[version] ? "" : ", another object"}`;
    lines.push(`  ${plain(versions.keys[key])} at ${versions.revision[version]}, read ${duration(request.at - readUs / 1e6)} before from ${server}${now}`);
  }
  return lines;
}

function uidText(versions, number) {
  const uid = versions.uids[versions.uid[number]];
  return uid ? `, uid ${uid.slice(0, 8)}` : "";
}

function drawMark(c, colour, kind, x, y, outcome) {
  c.fillStyle = colour.event;
  c.strokeStyle = colour.event;
  if (kind === "q") {
    c.fillStyle = c.strokeStyle = outcome === "ok" ? colour.write : colour.bad;
    c.beginPath(); c.moveTo(x, y - 5); c.lineTo(x + 5, y); c.lineTo(x, y + 5); c.lineTo(x - 5, y); c.closePath();
    if (outcome === "ok") c.fill(); else c.stroke();
  } else if (kind === "w") { c.fillStyle = colour.write; c.fillRect(x - 2, y - 6, 4, 12); }
  else if (kind === "l" || kind === "e") { c.fillStyle = colour.list; c.fillRect(x - 4, y - 4, 8, 8); }
  else if (kind === "x" || kind === "n" || kind === "c") {
    c.strokeStyle = kind === "x" ? colour.bad : colour.faint;
    c.beginPath(); c.moveTo(x - 4, y - 4); c.lineTo(x + 4, y + 4); c.moveTo(x + 4, y - 4); c.lineTo(x - 4, y + 4); c.stroke();
  } else if (kind === "d") { c.beginPath(); c.arc(x, y, 4, 0, 7); c.stroke(); }
  else if (isEvent(kind)) { c.beginPath(); c.arc(x, y, 3.5, 0, 7); c.fill(); }
  else if (kind === "s" || kind === "r") { c.fillStyle = colour.text; c.fillRect(x - 1, y - 8, 2, 16); }
  else if (kind === "g") { c.fillStyle = colour.fault; c.fillRect(x - 3, y - 9, 3, 18); }
  else { c.fillStyle = colour.faint; c.fillRect(x - 1, y - 3, 2, 6); }
}

function drawArrow(c, x, y, toX, toY, colour, alpha) {
  const angle = Math.atan2(toY - y, toX - x);
  c.strokeStyle = c.fillStyle = colour;
  c.globalAlpha = alpha;
  c.lineWidth = 1.4;
  c.beginPath(); c.moveTo(x, y); c.lineTo(toX, toY); c.stroke();
  c.lineWidth = 1;
  c.beginPath(); c.moveTo(toX, toY);
  c.lineTo(toX - 6 * Math.cos(angle - 0.4), toY - 6 * Math.sin(angle - 0.4));
  c.lineTo(toX - 6 * Math.cos(angle + 0.4), toY - 6 * Math.sin(angle + 0.4));
  c.fill();
  c.globalAlpha = 1;
}

function fitted(c, text, width) {
  if (c.measureText(text).width <= width) return text;
  let length = text.length;
  while (length > 1 && c.measureText(`${text.slice(0, length)}…`).width > width) length--;
  return `${text.slice(0, length)}…`;
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
}
