// Small plots under each other, on the time axis of the diagram.

const PLOT = 92;

class Plots {
  constructor(run, view, box) {
    this.run = run;
    this.view = view;
    this.all = run.plots.map((plot) => {
      const canvas = element("canvas", { class: "plot" });
      const legend = element("span", { class: "legend" });
      plot.lines.forEach((line, number) => legend.append(element("span", { class: `key key${number % 8}` }, line.label)));
      const head = element("figcaption", {}, element("b", {}, plot.title), ` ${plot.unit}${plot.note ? ` (${plot.note})` : ""} `, legend);
      box.append(element("figure", {}, head, canvas));
      canvas.addEventListener("pointermove", (event) => showTip(event, this.tell(plot, event.offsetX)));
      canvas.addEventListener("pointerleave", () => showTip(null, []));
      return { plot, canvas };
    });
  }

  get gutter() { return Math.min(230, this.width * 0.28); }
  x(at) { return this.gutter + ((at - this.view.from) / (this.view.to - this.view.from)) * (this.width - this.gutter); }

  draw() {
    for (const { plot, canvas } of this.all) this.drawOne(plot, canvas);
  }

  drawOne(plot, canvas) {
    const ratio = window.devicePixelRatio || 1, colour = colours();
    this.width = Math.max(320, canvas.parentElement.clientWidth);
    canvas.width = this.width * ratio;
    canvas.height = PLOT * ratio;
    const c = canvas.getContext("2d");
    c.scale(ratio, ratio);
    c.font = "12px system-ui, sans-serif";
    const peak = Math.max(...plot.lines.map((line) => line.values.reduce((high, value) => Math.max(high, value), 0))), most = peak || 1;
    const y = (value) => PLOT - 6 - (value / most) * (PLOT - 18);
    c.fillStyle = colour.faint;
    c.textAlign = "right";
    if (peak) c.fillText(figure(peak), this.gutter - 8, y(most) + 4);
    c.fillText("0", this.gutter - 8, y(0));
    c.textAlign = "left";
    if (!peak) c.fillText("0 throughout", this.gutter + 8, PLOT / 2);
    c.strokeStyle = colour.line;
    c.strokeRect(this.gutter, y(most), this.width - this.gutter - 1, y(0) - y(most));
    c.beginPath();
    c.rect(this.gutter, 0, this.width, PLOT);
    c.clip();
    plot.lines.forEach((line, number) => (plot.in_buckets ? this.bars : this.steps).call(this, c, line, y, colour.keys[number % 8]));
    const cursor = this.x(this.view.at);
    c.strokeStyle = colour.cursor;
    c.setLineDash([4, 3]);
    c.beginPath(); c.moveTo(cursor, 0); c.lineTo(cursor, PLOT); c.stroke();
  }

  steps(c, line, y, colour) {
    c.strokeStyle = colour;
    c.lineWidth = 1.5;
    c.beginPath();
    line.at.forEach((at, i) => {
      const x = this.x(at);
      if (i) c.lineTo(x, y(line.values[i - 1]));
      c[i ? "lineTo" : "moveTo"](x, y(line.values[i]));
    });
    c.stroke();
    if (line.at.length === 1) { c.fillStyle = colour; c.fillRect(this.x(line.at[0]) - 2, y(line.values[0]) - 2, 4, 4); }
    c.lineWidth = 1;
  }

  bars(c, line, y, colour) {
    const width = Math.max(1, this.x(this.run.end / 600) - this.x(0) - 0.5);
    c.fillStyle = colour;
    line.at.forEach((at, i) => c.fillRect(this.x(at), y(line.values[i]), width, y(0) - y(line.values[i])));
  }

  tell(plot, x) {
    const at = this.view.from + ((x - this.gutter) / (this.width - this.gutter)) * (this.view.to - this.view.from);
    if (x < this.gutter) return [];
    const lines = [`${at.toFixed(3)} s`];
    for (const line of plot.lines) {
      const i = firstFrom(line.at, at + 1e-9) - 1;
      if (i >= 0) lines.push(`${line.label}: ${figure(line.values[i])} ${plot.unit}`);
    }
    return lines;
  }
}

function figure(value) {
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}
