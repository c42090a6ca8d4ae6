// The threshold is moved by hand: shares on both sides and the documents next to it follow.
(() => {
  const data = JSON.parse(document.getElementById("tune-data").textContent);
  const values = data.values;  // sorted
  const slider = document.getElementById("threshold"), number = document.getElementById("exact");
  const line = document.getElementById("line");
  const below = (value) => {  // how many values are less
    let low = 0, high = values.length;
    while (low < high) { const mid = (low + high) >> 1; if (values[mid] < value) low = mid + 1; else high = mid; }
    return low;
  };
  const fill = (id, chosen) => {
    const list = document.getElementById(id);
    list.replaceChildren(...chosen.map(({ value, path, text }) => {
      const figure = document.createElement("figure"), caption = document.createElement("figcaption");
      const pre = document.createElement("pre");
      caption.textContent = `${value.toPrecision(4)} · ${path}`;
      pre.textContent = text;
      figure.append(caption, pre);
      return figure;
    }));
  };
  const show = (value) => {
    const at = below(value), share = 100 * at / values.length;
    document.getElementById("left-share").textContent = `${at} (${share.toFixed(1)} %)`;
    document.getElementById("right-share").textContent = `${values.length - at} (${(100 - share).toFixed(1)} %)`;
    const place = data.high > data.low ? (value - data.low) / (data.high - data.low) : 0;
    line.setAttribute("x1", 100 * place + "%");
    line.setAttribute("x2", 100 * place + "%");
    const left = data.examples.filter((e) => e.value < value).slice(-3).reverse();
    fill("left", left);
    fill("right", data.examples.filter((e) => e.value >= value).slice(0, 3));
  };
  const moved = (value) => {
    if (!Number.isFinite(value)) return;
    slider.value = String(value);
    number.value = String(value);
    show(value);
  };
  slider.addEventListener("input", () => moved(Number(slider.value)));
  number.addEventListener("input", () => moved(Number(number.value)));
  moved(data.threshold);
})();
