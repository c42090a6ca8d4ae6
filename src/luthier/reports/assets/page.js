(() => {
  const data = report;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const font = getComputedStyle(document.body).fontFamily;
  const options = { displayModeBar: false, responsive: false };
  let printing = false;
  document.documentElement.classList.add("js");

  // Plotly reads a little HTML in every text it is given: names from data are shown, never interpreted.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const colours = () => data.palette[!printing && dark.matches ? "dark" : "light"];
  const pen = document.createElement("canvas").getContext("2d");
  const textWidth = (text) => { pen.font = `600 12px ${font}`; return pen.measureText(text).width; };

  function axis(c, extra) {
    return Object.assign({ fixedrange: true, zeroline: false, showgrid: true, gridcolor: c.grid, linecolor: c.line,
      tickcolor: c.line, tickfont: { color: c.soft, size: 12 }, automargin: false }, extra);
  }

  function layout(c, width, height, margin, extra) {
    return Object.assign({ width, height, margin, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: font, color: c.ink, size: 12 }, showlegend: false, dragmode: false, hovermode: "closest",
      hoverlabel: { bgcolor: c.card, bordercolor: c.line, align: "left",
        font: { family: font, color: c.ink, size: 13 } } }, extra);
  }

  // ---- placing the names: try places around each point, nearest first, and keep the one that covers least ----

  const overlap = (a, b) => Math.max(0, Math.min(a.r, b.r) - Math.max(a.l, b.l)) *
    Math.max(0, Math.min(a.b, b.b) - Math.max(a.t, b.t));

  function places(point, w, h) {
    const found = [];
    const over = point.top - point.py - 4 - h / 2, under = point.bottom - point.py + 4 + h / 2;
    for (const [y, cost] of [[under, 6], [over, 7]]) {
      for (const x of [0, w / 4, -w / 4]) {
        found.push({ x, y, far: 0, cost: cost + Math.abs(x) / 10, l: point.px + x - w / 2, r: point.px + x + w / 2,
          t: point.py + y - h / 2, b: point.py + y + h / 2 });
      }
    }
    for (const far of [0, 9, 20, 34, 50]) {
      const dx = 10 + w / 2 + far, dy = 8 + h / 2 + far;
      const around = [[dx, 0], [-dx, 0], [dx, -dy * 0.7], [dx, dy * 0.7], [-dx, -dy * 0.7], [-dx, dy * 0.7],
        [0, -dy], [0, dy], [w / 2, -dy], [-w / 2, -dy], [w / 2, dy], [-w / 2, dy]];
      around.forEach(([x, y], order) => found.push({ x, y, far, cost: far * 3 + order,
        l: point.px + x - w / 2, r: point.px + x + w / 2, t: point.py + y - h / 2, b: point.py + y + h / 2 }));
    }
    return found;
  }

  function placeLabels(points, lines, inner) {
    const marks = points.map((p) => ({ l: p.px - 7, r: p.px + 7, t: p.py - 7, b: p.py + 7 }));
    const whiskers = points.map((p) => ({ l: p.px - 3, r: p.px + 3, t: p.top, b: p.bottom }));
    const badness = (box, mine) => {
      const out = Math.max(0, inner.l - box.l) + Math.max(0, box.r - inner.r) + Math.max(0, inner.t - box.t) +
        Math.max(0, box.b - inner.b);
      let sum = box.cost + out * 60;
      marks.forEach((other) => { sum += overlap(box, other) * 4; });
      whiskers.forEach((other) => { sum += overlap(box, other) * 3; });
      lines.forEach((other) => { sum += overlap(box, other) * 0.8; });
      points.forEach((other) => { if (other !== mine && other.box) sum += overlap(box, other.box) * 8; });
      return sum;
    };
    for (let round = 0; round < 4; round += 1) {
      for (const point of points) {
        const choices = places(point, textWidth(point.name) + 4, 16).map((box) => [badness(box, point), box]);
        point.box = choices.reduce((best, next) => (next[0] < best[0] ? next : best))[1];
      }
    }
  }

  function names(spec, c, margin, width, height) {
    const w = width - margin.l - margin.r, h = height - margin.t - margin.b;
    const [x0, x1] = spec.x.range, [y0, y1] = spec.y.range;
    const px = (x) => (x - x0) / (x1 - x0) * w, py = (y) => (y1 - y) / (y1 - y0) * h;
    const points = spec.points.map((p) => ({ ...p, px: px(p.x), py: py(p.y),
      top: py(p.hi ?? p.y), bottom: py(p.lo ?? p.y) }));
    const lines = spec.front.flatMap(([x, y], i) => {
      const next = spec.front[i + 1], end = px(next ? next[0] : x1);
      const flat = { l: px(x), r: end, t: py(y) - 1.5, b: py(y) + 1.5 };
      return next ? [flat, { l: end - 1.5, r: end + 1.5, t: py(next[1]), b: py(y) }] : [flat];
    });
    placeLabels(points, lines, { l: 2, r: w - 2, t: 0, b: h });
    return points.map((p) => ({ x: p.x, y: p.y, ax: p.box.x, ay: p.box.y, text: plain(p.name), showarrow: true,
      arrowhead: 0, arrowwidth: 1, arrowcolor: p.box.far ? c.point : "rgba(0,0,0,0)", standoff: 7, borderpad: 1,
      font: { size: 12, weight: p.front ? 600 : 400, color: p.best ? c.accent : c.ink } }));
  }

  // ---- the kinds of chart ----

  // Every tick's text if there is room for all, else every second, every third...; the place of zero keeps its own.
  function legible(axis, px) {
    const zero = axis.zero ? axis.ticks.slice(0, 1) : [], others = axis.ticks.slice(zero.length);
    const at = ([x]) => (x - axis.range[0]) / (axis.range[1] - axis.range[0]) * px;
    for (let step = 1; ; step += 1) {
      const kept = [...zero, ...others.filter((_, i) => i % step === 0)];
      const free = (t, i) => i === 0 || at(t) - at(kept[i - 1]) > (textWidth(t[1]) + textWidth(kept[i - 1][1])) / 2 + 8;
      if (kept.every(free) || step > others.length) return kept;
    }
  }

  function scatter(box, spec) {
    const c = colours(), width = box.drawWidth, height = box.drawHeight;
    const margin = { l: 46, r: 14, t: 8, b: 46 };
    const ticks = legible(spec.x, width - margin.l - margin.r);
    const dots = (keep, marker) => {
      const p = spec.points.filter(keep);
      return { x: p.map((q) => q.x), y: p.map((q) => q.y), mode: "markers", cliponaxis: false, marker,
        text: p.map((q) => plain(q.name)), customdata: p.map((q) => q.says.map((said) => plain(words.value(said)))),
        hovertemplate: "<b>%{text}</b><br>%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        error_y: { type: "data", symmetric: false, thickness: 1.2, width: 4, color: marker.line.color,
          array: p.map((q) => (q.hi === null ? null : q.hi - q.y)),
          arrayminus: p.map((q) => (q.lo === null ? null : q.y - q.lo)) } };
    };
    const end = spec.front[spec.front.length - 1];
    const line = [...spec.front, [spec.x.range[1], end[1]]];
    const traces = [
      { x: line.map((q) => q[0]), y: line.map((q) => q[1]), mode: "lines", hoverinfo: "skip",
        line: { shape: "hv", color: c.accent, width: 7 }, opacity: 0.2 },
      dots((q) => !q.front, { size: 9, color: c.card, line: { color: c.point, width: 2 } }),
      dots((q) => q.front, { size: 11, color: c.accent, line: { color: c.accent, width: 1 } }),
    ];
    const shapes = spec.x.zero ? [{ type: "rect", xref: "x", yref: "paper", x0: spec.x.zero[0], x1: spec.x.zero[1],
      y0: 0, y1: 1, layer: "below", fillcolor: c.band, line: { width: 0 } }] : [];
    Plotly.react(box, traces, layout(c, width, height, margin, { shapes,
      annotations: names(spec, c, margin, width, height),
      xaxis: axis(c, { range: spec.x.range, tickvals: ticks.map((t) => t[0]), showline: true, ticks: "outside",
        ticktext: ticks.map((t) => t[1]), showgrid: false, ticklen: 4, tickangle: 0,
        title: { text: plain(words.value(spec.x.title)), font: { size: 12, color: c.soft }, standoff: 8 } }),
      yaxis: axis(c, { range: spec.y.range, nticks: 7,
        title: { text: plain(words.value(spec.y.title)), font: { size: 12, color: c.soft }, standoff: 6 } }) }), options);
  }

  function curve(box, spec) {
    const c = colours(), height = box.drawHeight;
    const traces = spec.lines.flatMap((line) => [
      { x: line.x, y: line.raw, mode: "lines", line: { color: c.point, width: 1 }, opacity: 0.4, hoverinfo: "skip" },
    ]).concat(spec.lines.map((line) => (
      { x: line.x, y: line.smooth, mode: "lines", line: { color: c.accent, width: 1.4 },
        hovertemplate: `${plain(words.text({ t: "curve_hover",
          v: { seed: line.seed, loss: "%{y:.3f}", tokens: "%{x:.3s}" } }))}<extra></extra>` })));
    Plotly.react(box, traces, layout(c, box.drawWidth, height, { l: 40, r: 8, t: 6, b: 38 }, {
      xaxis: axis(c, { range: [0, spec.last * 1.02], nticks: 5, tickformat: "~s", showline: true, showgrid: false,
        title: { text: words.text("tokens"), font: { size: 12, color: c.soft }, standoff: 4 } }),
      yaxis: axis(c, { nticks: 5, rangemode: "tozero" }) }), options);
  }

  // Score by number of training rows: a line a method, whiskers at the sizes tried, the axis in doublings.
  function rows(box, spec) {
    const c = colours(), shades = [c.accent, c.ink, c.point, c.warn, c.bad, c.soft];
    const dashes = ["solid", "dash", "dot", "dashdot", "longdash"], marks = ["circle", "square", "diamond", "cross", "x"];
    const traces = spec.lines.map((line, i) => ({ x: line.x, y: line.y, mode: spec.marks === false ? "lines" : "lines+markers",
      name: plain(words.value(line.name)),
      line: { color: shades[i % shades.length], width: 2, dash: dashes[i % dashes.length] },
      marker: { size: 8, symbol: marks[i % marks.length], color: shades[i % shades.length] }, cliponaxis: false,
      error_y: line.hi && { type: "data", symmetric: false, thickness: 1, width: 3, array: line.hi, arrayminus: line.lo },
      text: line.says.map((said) => plain(words.value(said))), hovertemplate: "<b>%{fullData.name}</b><br>%{text}<extra></extra>" }));
    const texts = spec.x.texts ?? spec.x.ticks.map(String);
    Plotly.react(box, traces, layout(c, box.drawWidth, box.drawHeight, { l: 56, r: 14, t: 8, b: 84 }, {
      showlegend: true, legend: { orientation: "h", y: -0.22, yanchor: "top", x: 0 },
      xaxis: axis(c, { type: spec.x.type ?? "log", tickvals: spec.x.ticks, ticktext: texts.map(plain), showline: true,
        range: spec.x.range, title: { text: plain(words.value(spec.x.title)), font: { size: 12, color: c.soft }, standoff: 6 } }),
      yaxis: axis(c, { range: spec.y.range, ...(spec.y.ticks ? { tickvals: spec.y.ticks, ticktext: spec.y.texts.map(plain) } : { nticks: 7 }),
        title: { text: plain(words.value(spec.y.title)), font: { size: 12, color: c.soft }, standoff: 6 } }) }), options);
  }

  // One value with its interval a line, the best first; the dashed line is what the others are held against.
  function forest(box, spec) {
    const c = colours(), names = spec.points.map((p) => words.value(p.name));
    const left = Math.min(Math.max(...names.map(textWidth)) + 18, box.drawWidth * 0.45);
    const shade = spec.points.map((p) => (p.best ? c.accent : c.point));
    const trace = { x: spec.points.map((p) => p.y), y: spec.points.map((_, i) => i), mode: "markers", cliponaxis: false,
      marker: { size: 10, color: shade, line: { color: shade, width: 1 } },
      error_x: { type: "data", symmetric: false, thickness: 1.4, width: 4, color: c.soft,
        array: spec.points.map((p) => p.hi - p.y), arrayminus: spec.points.map((p) => p.y - p.lo) },
      text: spec.points.map((p) => plain(words.value(p.says))), hovertemplate: "%{text}<extra></extra>" };
    const shapes = spec.line === null ? [] : [{ type: "line", x0: spec.line, x1: spec.line, yref: "paper", y0: 0, y1: 1,
      line: { color: c.soft, width: 1, dash: "dash" }, layer: "below" }];
    Plotly.react(box, [trace], layout(c, box.drawWidth, box.drawHeight, { l: left, r: 16, t: 8, b: 46 }, { shapes,
      xaxis: axis(c, { range: spec.x.range, nticks: 6, showline: true,
        title: { text: plain(words.value(spec.x.title)), font: { size: 12, color: c.soft }, standoff: 8 } }),
      yaxis: axis(c, { range: [names.length - 0.4, -0.6], tickvals: names.map((_, i) => i), ticktext: names.map(plain) }) }), options);
  }

  function draw() {
    for (const box of document.querySelectorAll(".chart")) {
      const spec = data.charts[Number(box.dataset.chart)];
      box.drawWidth = printing ? Math.min(box.clientWidth, spec.kind === "curve" ? 286 : 630) : box.clientWidth;
      box.drawHeight = printing ? (spec.kind === "curve" ? 180 : 300) : box.clientHeight;
      if (spec.kind === "scatter") scatter(box, spec);
      else if (spec.kind === "curve") curve(box, spec);
      else if (spec.kind === "rows") rows(box, spec);
      else if (spec.kind === "forest") forest(box, spec);
      else box.style.height = "auto";
    }
  }

  // ---- the table ----

  function sortBy(head) {
    const down = head.getAttribute("aria-sort") === "none" ? head.querySelector("button").dataset.first === "down"
      : head.getAttribute("aria-sort") === "ascending";
    const body = head.closest("table").tBodies[0], column = head.cellIndex, text = head.classList.contains("text");
    const key = (row) => row.cells[column].dataset.key;
    const rows = [...body.rows].sort((a, b) => {
      const x = key(a), y = key(b);
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      return (text ? x.localeCompare(y) : Number(x) - Number(y)) * (down ? -1 : 1);
    });
    body.append(...rows);
    for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  }

  for (const button of document.querySelectorAll(".board thead button")) {
    button.addEventListener("click", () => sortBy(button.closest("th")));
  }

  // ---- copying ----

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    let done = true;
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch (refused) {
      getSelection().selectAllChildren(source);
      done = document.execCommand("copy");
    }
    words.put(button.firstChild, done ? "copied" : "selected");
    words.put(document.getElementById("status"), done ? "copied" : "selected_long");
    setTimeout(() => words.put(button.firstChild, "copy"), 1800);
  }

  for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", () => copy(button));

  // A button of our own: the library's bar of buttons cannot be reached or heard by everyone.
  for (const button of document.querySelectorAll(".save")) {
    const box = document.querySelector(`[data-chart="${button.dataset.save}"]`);
    button.addEventListener("click", () => Plotly.downloadImage(box, { format: "png", scale: 2,
      width: box.drawWidth, height: box.drawHeight, filename: `luthier-${button.dataset.save}` }));
  }

  let waiting = 0, width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return; // a phone's address bar changes the height only
    width = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(draw, 120);
  });
  dark.addEventListener("change", draw);
  window.addEventListener("beforeprint", () => { printing = true; draw(); });
  window.addEventListener("afterprint", () => { printing = false; draw(); });
  words.changed(draw);
})();
