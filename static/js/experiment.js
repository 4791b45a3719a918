// The curves of one experiment: drawn from the points in the page, and from those the WebSocket brings.
// Without this script the page shows the same curves as SVG and reloads itself while something happens.
"use strict";

(() => {
  const metrics = [];
  let newest = 0;

  // Points are numbered: what arrives twice (after a reconnection) counts once.
  const takePoints = () => {
    const holder = document.getElementById("metric-points");
    const before = metrics.length;
    for (const point of JSON.parse(holder.dataset.points || "[]")) {
      if (point.seq > newest) {
        newest = point.seq;
        metrics.push(point);
      }
    }
    return metrics.length > before;
  };

  const short = (tokens) => {
    if (tokens >= 1e9) return `${+(tokens / 1e9).toFixed(1)}G`;
    if (tokens >= 1e6) return `${+(tokens / 1e6).toFixed(1)}M`;
    if (tokens >= 1e4) return `${+(tokens / 1e3).toFixed(1)}k`;
    return `${tokens}`;
  };

  const read = (value, unit) => {
    if (value == null) return "";
    if (unit === "%") return `${+(100 * value).toFixed(1)} %`;
    return Math.abs(value) < 1000 ? `${+value.toPrecision(3)}` : Math.round(value).toLocaleString("en");
  };

  // Custom properties hold light-dark(); a probe element tells what that means now.
  const resolved = (name) => {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };

  const columns = (metric) => [
    metrics.map((point) => point.tokens),
    metrics.map((point) => point.values[metric] ?? null),
  ];

  const font = "11px system-ui, sans-serif";
  const axis = (values) => ({
    stroke: resolved("--ink-2"),
    grid: { stroke: resolved("--line"), width: 1 },
    ticks: { show: false },
    font,
    values,
  });

  const draw = (box) => {
    const { metric, unit, colour: name } = box.dataset;
    const options = {
      width: box.clientWidth,
      height: 190,
      legend: { show: false },
      cursor: { y: false, points: { size: 6 } },
      scales: {
        x: { time: false, range: (_, low, high) => [0, high] },
        y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.05 : unit === "%" ? 0.05 : 1] },
      },
      axes: [
        { ...axis((_, ticks) => ticks.map((tick) => short(tick))), label: "tokens", labelSize: 16, labelFont: font, size: 34 },
        { ...axis((_, ticks) => ticks.map((tick) => read(tick, unit))), size: 52 },
      ],
      series: [{}, { stroke: resolved(`--${name}`), width: 1.8, spanGaps: true, points: { show: false } }],
      hooks: { setCursor: [(chart) => showValue(metric, unit, chart.cursor.idx)] },
    };
    box.replaceChildren();
    return new uPlot(options, columns(metric), box);
  };

  // The number beside the title is the newest one, or the one under the pointer.
  const showValue = (metric, unit, index) => {
    const point = metrics[index ?? metrics.length - 1];
    const output = document.querySelector(`[data-newest="${metric}"]`);
    if (point && output) output.textContent = read(point.values[metric], unit);
  };

  const charts = new Map();
  const drawAll = () => {
    for (const box of document.querySelectorAll(".chart[data-metric]")) {
      charts.get(box)?.destroy();
      charts.set(box, draw(box));
      showValue(box.dataset.metric, box.dataset.unit, null);
    }
  };

  const grow = () => {
    if (!takePoints()) return;
    if (!charts.size) {
      drawAll();
      return;
    }
    for (const [box, chart] of charts) {
      chart.setData(columns(box.dataset.metric));
      showValue(box.dataset.metric, box.dataset.unit, chart.cursor.idx);
    }
  };

  if (takePoints()) drawAll();

  const observer = new ResizeObserver(() => {
    for (const [box, chart] of charts) chart.setSize({ width: box.clientWidth, height: 190 });
  });
  for (const box of document.querySelectorAll(".chart[data-metric]")) observer.observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => metrics.length && drawAll());

  // A connection that is made again begins where the last one ended.
  htmx.createWebSocket = (url) => new WebSocket(`${url}&since=${newest}`);
  const lost = document.getElementById("connection-lost");
  document.addEventListener("htmx:wsOpen", () => { lost.hidden = true; });
  document.addEventListener("htmx:wsClose", (event) => { lost.hidden = event.detail.event.code === 1000; });
  document.addEventListener("htmx:wsAfterMessage", grow);
})();
