(() => {
  const found = report.evidence;
  const make = (tag, kind, ...inside) => {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.append(...inside);
    return element;
  };
  const says = (tag, phrase, kind) => words.put(make(tag, kind), phrase);
  const cell = (tag, scope, ...inside) => {
    const element = make(tag, "", ...inside);
    if (scope) element.scope = scope;
    return element;
  };
  const unheard = (kind, text) => {
    const element = make("span", kind, text);
    element.setAttribute("aria-hidden", "true");
    return element;
  };
  // Text of a row or an answer: any direction, any length, never markup.
  const quoted = (tag, text, kind) => Object.assign(make(tag, kind, text), { dir: "auto" });

  // ---- the confusion matrix of the chosen method ----

  const percent = (part, whole) => (whole ? (100 * part / whole).toFixed(0) : "–");

  function matrix(method) {
    const { labels, rest, counts, right } = found.confusion, table = counts[method];
    const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
    const all = sum(table.map(sum)), seeds = found.seeds[method];
    const name = (at) => (at < labels.length ? quoted("span", labels[at]) : says("span", "confusion_rest"));
    const caption = says("caption", { t: seeds > 1 ? "confusion_caption_seeds" : "confusion_caption",
      v: { method, right: right[method], n: all, seeds } });
    const head = make("tr", "", words.put(cell("th", "col"), "confusion_corner"));
    table.forEach((_, at) => head.append(cell("th", "col", make("div", "upright", name(at)))));
    head.append(words.put(cell("th", "col"), "confusion_right"));
    const body = make("tbody");
    table.forEach((line, i) => {
      const row = make("tr", "", cell("th", "row", name(i)));
      line.forEach((count, j) => {
        const box = make("td", i === j ? "hit" : "miss");
        if (count) box.append(String(count));
        else box.append(unheard("none", "·"), make("span", "hidden", "0"));
        box.style.setProperty("--share", `${Math.round(38 * count / Math.max(sum(line), 1))}%`);
        row.append(box);
      });
      // what of the other labels was right the counts do not tell
      row.append(make("td", "sum", i < labels.length ? percent(line[i], sum(line)) : "–"));
      body.append(row);
    });
    const foot = make("tr", "", words.put(cell("th", "row"), "confusion_precise"));
    table.forEach((_, j) => {
      const column = sum(table.map((line) => line[j]));
      foot.append(make("td", "sum", j < labels.length ? percent(table[j][j], column) : "–"));
    });
    foot.append(make("td", "sum", percent(right[method], all)));
    document.getElementById("matrix").replaceChildren(caption, make("thead", "", head), body, make("tfoot", "", foot));
    if (rest) document.getElementById("matrix").classList.add("rest");
  }

  // ---- sample answers ----

  const PAGE = 10;
  let at = 0;

  function chosen() {
    const pick = (id) => document.getElementById(id)?.value ?? "";
    const kind = pick("show-rows"), label = pick("show-label"), language = pick("show-language");
    const wanted = label === "" ? null : found.sample_labels[Number(label)];
    return found.samples.filter((s) => (kind === "" || s.is.includes(kind)) &&
      (wanted === null || s.labels.includes(wanted)) && (language === "" || s.han === (language === "han")));
  }

  // One line an answer, the right ones and the best method's first; methods that said the same share a line.
  function answers(sample) {
    const lines = new Map();
    found.methods.forEach((method, i) => {
      const key = JSON.stringify([sample.answers[i], sample.scores[i]]);
      if (!lines.has(key)) lines.set(key, { text: sample.answers[i], score: sample.scores[i], methods: [] });
      lines.get(key).methods.push(method);
    });
    return [...lines.values()].sort((a, b) => b.score - a.score);
  }

  function verdict(score) {
    if (!found.binary) return make("td", "score-cell", score.toFixed(1));
    const right = score === 1, mark = unheard("", right ? "✓ " : "✗ ");
    return make("td", right ? "verdict yes" : "verdict no", mark, says("span", right ? "right" : "wrong"));
  }

  function card(sample) {
    const title = says("h3", { t: "sample", v: { n: sample.row } });
    title.id = `sample-${sample.row}`;
    const asked = make("dl", "asked", says("dt", "sample_input"), quoted("dd", sample.asked),
      says("dt", "sample_wanted"), quoted("dd", sample.wanted, "wanted"));
    const head = make("tr", "", ...["sample_answer", found.binary ? "sample_score" : "sample_points", "sample_methods"]
      .map((key) => words.put(cell("th", "col"), key)));
    const body = make("tbody");
    for (const line of answers(sample)) {
      const said = line.text.trim() ? quoted("span", line.text, "said") : says("span", "sample_empty", "none");
      const methods = make("td", "methods");
      for (const method of line.methods) {
        const best = method === found.best, name = make("span", "", make("code", best ? "best" : "", method));
        if (best) name.append(" ", says("small", "best"));
        methods.append(name, " ");
      }
      body.append(make("tr", "", cell("th", "row", said), verdict(line.score), methods));
    }
    const caption = says("caption", { t: "sample_caption", v: { n: sample.row } }, "hidden");
    const article = make("article", "", title, asked, make("table", "said-table", caption, make("thead", "", head), body));
    article.setAttribute("aria-labelledby", title.id);
    return make("li", "", article);
  }

  function samples() {
    const rows = chosen();
    at = Math.max(0, Math.min(at, Math.floor((rows.length - 1) / PAGE) * PAGE));
    const shown = rows.slice(at, at + PAGE);
    document.getElementById("samples").replaceChildren(...shown.map(card));
    words.put(document.getElementById("samples-shown"), shown.length
      ? { t: "shown", v: { from: at + 1, to: at + shown.length, n: rows.length } } : "shown_none");
    // aria-disabled keeps the focus where it is; a disabled button would lose it
    document.getElementById("samples-back").setAttribute("aria-disabled", String(at === 0));
    document.getElementById("samples-on").setAttribute("aria-disabled", String(at + PAGE >= rows.length));
  }

  function turn(by) {
    if (at + by < 0 || at + by >= chosen().length) return;
    at += by;
    samples();
    document.getElementById("samples-shown").scrollIntoView({ block: "nearest" });
  }

  if (found?.confusion) {
    const select = document.getElementById("confusion-method");
    select.addEventListener("change", () => matrix(found.methods[select.selectedIndex]));
    matrix(found.methods[0]);
  }
  if (found) {
    for (const id of ["show-rows", "show-label", "show-language"]) {
      document.getElementById(id)?.addEventListener("change", () => { at = 0; samples(); });
    }
    document.getElementById("samples-back").addEventListener("click", () => turn(-PAGE));
    document.getElementById("samples-on").addEventListener("click", () => turn(PAGE));
    samples();
  }
  words.start();
  document.documentElement.classList.add("drawn");
})();
