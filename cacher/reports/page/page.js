// The page: tabs, and for each run its diagram, slider, plots and chronicle, made when it is first shown.

const TOLD_ROWS = 400, BELIEF_ROWS = 300, MARKS_AROUND = 12, LANES_TRIED = 50;

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: of("text"), faint: of("faint"), line: of("line"), bad: of("bad"), event: of("event"), write: of("write"), list: of("list"),
    cursor: of("cursor"), fault: of("fault"), down: of("down"), phase: of("phase"), keys: [0, 1, 2, 3, 4, 5, 6, 7].map((n) => of(`key${n}`)),
  };
}

function showTip(event, lines) {
  const tip = document.getElementById("tip") || document.body.appendChild(element("div", { id: "tip", role: "tooltip" }));
  tip.hidden = !lines.length;
  if (!lines.length) return;
  tip.textContent = lines.join("\n");
  const x = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8), y = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8);
  tip.style.left = `${Math.max(0, x)}px`;
  tip.style.top = `${Math.max(0, y)}px`;
}

class Run {
  constructor(report, section) {
    this.section = section;
    this.run = decodeTimeline(report.timeline, report.breaches);
    this.run.chronicle = report.chronicle.map((one) => ({ ...one, at: one.at_us / 1e6 }));
    this.run.chronicleLeftOut = report.chronicle_left_out;
    this.view = { from: -0.02 * this.run.end, to: 1.02 * this.run.end, at: this.run.end, changed: () => this.later() };
    this.build(section.querySelector(".live"));
    this.pickLane();
    this.setTime(this.run.breaches.length ? this.run.breaches[0].at : this.run.end);
  }

  build(box) {
    const button = (text, title, does) => {
      const made = element("button", { type: "button", title }, text);
      made.addEventListener("click", does);
      return made;
    };
    const bar = element("div", { class: "bar" });
    if (this.run.breaches.length) {
      const first = button("Jump to first violation", "", () => this.jump(0));
      first.classList.add("first", "strong");
      bar.append(first, button("next", "the next violation", () => this.jump(((this.diagram.picked ?? -1) + 1) % this.run.breaches.length)));
    }
    const filter = element("input", { type: "search", placeholder: "lanes by name", "aria-label": "lanes by name" });
    filter.addEventListener("input", () => { this.diagram.filter = filter.value; this.diagram.chooseLanes(); this.diagram.resize(); this.later(); });
    bar.append(
      button("+", "zoom in: Ctrl and the wheel, or a double click", () => this.diagram.zoom(0.5, this.view.at)),
      button("−", "zoom out", () => this.diagram.zoom(2, this.view.at)),
      button("all", "the whole run", () => this.diagram.all()), filter,
      element("span", { class: "legend" }, ...["write", "event", "list", "fault", "down", "bad"].map((name) => element("span", { class: `key ${name}` }, { bad: "violation", fault: "fault" }[name] || name))),
    );
    const canvas = element("canvas", { class: "diagram", tabIndex: 0, role: "img", "aria-label": "space-time diagram" });
    const frame = element("div", { class: "frame" }, canvas);
    box.append(element("h2", {}, "What happened, where and when"), bar, this.kept(), frame, this.beliefBox(), element("h2", {}, "Figures over time"));
    this.diagram = new Diagram(this.run, canvas, this.view, (at, lane) => this.pick(at, lane));
    const figures = element("div", { class: "figures" });
    box.append(figures);
    this.plots = new Plots(this.run, this.view, figures);
    this.chronicleBox(this.section.querySelector(".told"));
    this.section.querySelectorAll(".jump").forEach((each) => each.addEventListener("click", () => this.jump(Number(each.dataset.breach))));
    new ResizeObserver(() => { this.diagram.resize(); this.later(); }).observe(frame);
  }

  kept() {
    const { leftOut, leftOutCount, lanes, marksSeen } = this.run;
    const marks = lanes.reduce((sum, lane) => sum + lane.at.length, 0);
    if (!leftOutCount && marks >= marksSeen) return element("p", { class: "note" }, `${marks.toLocaleString("en")} marks in ${lanes.length} lanes`);
    const named = leftOut.length ? `: ${leftOut.slice(0, 5).join(", ")}${leftOutCount > 5 ? " and others" : ""}` : "";
    return element("p", { class: "note" }, `${marks.toLocaleString("en")} of ${marksSeen.toLocaleString("en")} marks are in this file; ${leftOutCount.toLocaleString("en")} clients have no lane${named}. The figures count all.`);
  }

  beliefBox() {
    this.slider = element("input", { type: "range", min: 0, max: 10000, value: 10000, class: "time", "aria-label": "time" });
    this.number = element("input", { type: "number", min: 0, step: "any", class: "at", "aria-label": "time in seconds" });
    this.chooser = element("select", { class: "who", "aria-label": "who" });
    for (const lane of this.run.lanes.filter((one) => one.kind === "watch" || one.kind === "client")) {
      this.chooser.append(element("option", { value: String(lane.number) }, lane.name));
    }
    this.summary = element("p", { class: "summary" });
    this.rows = element("tbody");
    const head = element("tr", {}, ...["object", "believed", "in the store", ""].map((text) => element("th", {}, text)));
    this.slider.addEventListener("input", () => this.setTime((this.slider.value / 10000) * this.run.end, false));
    this.number.addEventListener("change", () => this.setTime(Number(this.number.value)));
    this.chooser.addEventListener("change", () => this.believe());
    const line = element("div", { class: "bar" }, "What did ", this.chooser, " believe at ", this.number, " s?", this.slider);
    return element("div", { class: "belief" }, element("h2", {}, "Beliefs"), line, this.summary,
      element("div", { class: "wide" }, element("table", {}, element("thead", {}, head), this.rows)));
  }

  chronicleBox(box) {
    if (!box) return;
    this.told = element("pre", { class: "chronicle" });
    const filter = element("input", { type: "search", placeholder: "lines with", "aria-label": "lines with" });
    filter.addEventListener("input", () => { this.toldFilter = filter.value; this.tellChronicle(); });
    const left = this.run.chronicleLeftOut ? ` (${this.run.chronicleLeftOut.toLocaleString("en")} lines far from any violation are left out)` : "";
    box.append(element("h2", {}, "The long story"), element("div", { class: "bar" }, `around the time of the slider${left} `, filter), this.told);
  }

  pickLane() {
    const breach = this.run.breaches[0];
    const lanes = this.run.lanes.filter((lane) => lane.kind === "watch" || lane.kind === "client");
    const own = breach ? lanes.filter((lane) => lane.number === breach.lane || lane.under === breach.lane) : [];
    const lane = this.staleOf(breach, own.length ? own : lanes.slice(0, LANES_TRIED)) || own[0] || lanes[0];
    if (lane) this.chooser.value = String(lane.number);
  }

  // The watch that was wrong when a guarantee was broken: about what no longer was there, or about anything.
  staleOf(breach, lanes) {
    if (!breach) return undefined;
    const wrong = (lane, standings) => beliefRows(this.run, lane, breach.at).rows.some((row) => standings.includes(row.standing));
    return lanes.find((lane) => wrong(lane, ["another object", "gone"])) || lanes.find((lane) => wrong(lane, ["behind", "not known", "unknown to the store"]));
  }

  pick(at, lane) {
    if (lane && (lane.kind === "watch" || lane.kind === "client")) this.chooser.value = String(lane.number);
    this.setTime(at);
  }

  jump(number) {
    const breach = this.run.breaches[number], span = this.spanAround(breach);
    this.diagram.picked = number;
    this.diagram.scrollTo(breach.lane);
    this.setTime(breach.at);
    this.diagram.show(breach.at - span * 0.7, breach.at + span * 0.3);
    this.diagram.canvas.scrollIntoView({ block: "center" });
    this.section.dataset.picked = String(number);
  }

  // So much time that what surrounds a breach can be told apart: no more than some marks in the lanes that have to do with it.
  spanAround(breach) {
    const lanes = this.run.lanes.filter((lane) => lane.kind === "process" || lane.kind === "watch" || lane.number === breach.lane);
    const marks = (span) => lanes.reduce((sum, lane) => sum + firstFrom(lane.at, breach.at + 0.3 * span) - firstFrom(lane.at, breach.at - 0.7 * span), 0);
    let span = this.run.end;
    while (span > 1e-3 && marks(span) > MARKS_AROUND) span *= 0.7;
    return span;
  }

  setTime(at, moveSlider = true) {
    this.view.at = Math.max(0, Math.min(this.run.end, at || 0));
    if (moveSlider) this.slider.value = String(Math.round((this.view.at / this.run.end) * 10000));
    this.number.value = this.view.at.toFixed(6);
    this.believe();
    this.tellChronicle();
    this.later();
  }

  believe() {
    const lane = this.run.lanes[Number(this.chooser.value)];
    if (!lane || !this.chooser.value) { this.summary.textContent = "nobody watches anything here"; return; }
    const at = this.view.at, { belief, rows } = beliefRows(this.run, lane, at), { versions } = this.run;
    const wrong = rows.filter((row) => row.standing !== "same").length;
    const known = belief.gap ? `${belief.gap.toLocaleString("en")} marks are left out here: this is how it was before them` : "";
    const heard = belief.heard === null ? "it has been told nothing yet" : `told up to revision ${belief.revision}, last heard ${duration(at - belief.heard)} before`;
    this.summary.textContent = [`${rows.length} object${rows.length === 1 ? "" : "s"}, ${wrong} not as in the store`, heard, belief.streaming ? "its state is being streamed" : "", lane.note, known].filter(Boolean).join("; ");
    const shown = (number) => (number === NEVER ? "none" : `${versions.revision[number]}${uidText(versions, number)}`);
    this.rows.replaceChildren(...rows.slice(0, BELIEF_ROWS).map((row) => element("tr", { class: row.standing === "same" ? "good" : "bad" },
      element("td", {}, plain(row.key)), element("td", {}, shown(row.believed)), element("td", {}, shown(row.stored)),
      element("td", {}, row.standing + (row.since ? `, for ${duration(at - row.since)}` : "")))));
    if (rows.length > BELIEF_ROWS) this.rows.append(element("tr", {}, element("td", {}, `and ${rows.length - BELIEF_ROWS} more`)));
  }

  tellChronicle() {
    if (!this.told) return;
    const wanted = this.toldFilter || "", lines = this.run.chronicle.filter((one) => !wanted || `${one.who} ${one.what}`.includes(wanted));
    let now = lines.findIndex((one) => one.at > this.view.at);
    if (now < 0) now = lines.length;
    const from = Math.max(0, now - TOLD_ROWS / 2);
    const made = lines.slice(from, from + TOLD_ROWS).map((one, i) => element("span", { class: from + i < now ? "" : "after" }, `${one.at.toFixed(6).padStart(12)}  ${one.who}  ${one.what}\n`));
    this.told.replaceChildren(...made);
    const last = made[now - from - 1];
    if (last) { last.classList.add("now"); this.told.scrollTop = last.offsetTop - this.told.clientHeight / 2; }
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw() {
    if (this.section.hidden) return;
    this.diagram.draw();
    this.plots.draw();
  }
}

function showRun(runs, reports, number) {
  document.querySelectorAll("section.run").forEach((section) => { section.hidden = Number(section.dataset.run) !== number; });
  document.querySelectorAll(".tab").forEach((tab) => tab.setAttribute("aria-current", String(Number(tab.dataset.run) === number)));
  const section = document.querySelector(`section.run[data-run="${number}"]`);
  if (section && !runs.has(number) && reports[number].timeline) runs.set(number, new Run(reports[number], section));
  if (runs.has(number)) { runs.get(number).diagram.resize(); runs.get(number).draw(); }
}

async function open() {
  const { reports } = await unpack(document.getElementById("data").textContent);
  const runs = new Map();
  document.querySelectorAll(".tab").forEach((tab) => tab.addEventListener("click", () => showRun(runs, reports, Number(tab.dataset.run))));
  document.querySelectorAll(".copy").forEach((button) => button.addEventListener("click", () => {
    const chosen = getSelection();
    chosen.selectAllChildren(button.previousElementSibling);
    document.execCommand("copy");
    button.textContent = "copied";
  }));
  showRun(runs, reports, Math.max(0, reports.findIndex((report) => !report.is_ok)));
  const again = () => runs.forEach((run) => { run.diagram.resize(); run.draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  matchMedia("print").addEventListener("change", again);
  let shown = 0;
  addEventListener("beforeprint", () => { // on paper there are no tabs: every run is made and shown
    shown = Number(document.querySelector("section.run:not([hidden])").dataset.run);
    reports.forEach((_, number) => showRun(runs, reports, number));
    document.querySelectorAll("section.run").forEach((section) => { section.hidden = false; });
    again();
  });
  addEventListener("afterprint", () => showRun(runs, reports, shown));
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

open().catch((error) => {
  document.body.prepend(element("p", { class: "verdict bad" }, `This page cannot show its diagram: ${error.message}. A browser of 2023 or later is needed.`));
  throw error;
});
