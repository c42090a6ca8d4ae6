"""Checks of a page's accessibility, run inside the browser: each gives a list of what is wrong."""

# Every control and region has a name, every reference a target, every table its caption and scopes.
NAMES = """() => {
  const wrong = [];
  const text = (ids) => ids.split(/\\s+/).map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
  const named = (e) => e.getAttribute("aria-label")?.trim() ||
    (e.hasAttribute("aria-labelledby") ? text(e.getAttribute("aria-labelledby")) : "") ||
    [...(e.labels ?? [])].map((l) => l.textContent.trim()).join("") ||
    (e.tagName === "FIELDSET" ? e.querySelector("legend")?.textContent.trim() : "") ||
    (["BUTTON", "A", "SUMMARY"].includes(e.tagName) ? e.textContent.trim() : "");
  const controls = "button, a[href], select, input, textarea, summary, [tabindex]:not([tabindex='-1']), " +
    "[role=region], [role=group], [role=img], nav, fieldset, section, article";
  for (const e of document.querySelectorAll(controls)) {
    if (!named(e)) wrong.push(`no name: ${e.outerHTML.slice(0, 80)}`);
  }
  for (const name of ["aria-labelledby", "aria-describedby", "for"]) {
    for (const e of document.querySelectorAll(`[${name}]`)) {
      for (const id of e.getAttribute(name).split(/\\s+/)) {
        if (!document.getElementById(id)) wrong.push(`${name} without target: ${id}`);
      }
    }
  }
  const ids = [...document.querySelectorAll("[id]")].filter((e) => !e.closest("svg")).map((e) => e.id);
  for (const id of new Set(ids)) if (ids.filter((x) => x === id).length > 1) wrong.push(`id twice: ${id}`);
  for (const a of document.querySelectorAll("a[href^='#']")) {
    if (!document.getElementById(a.hash.slice(1))) wrong.push(`link without target: ${a.hash}`);
  }
  for (const table of document.querySelectorAll("table")) {
    if (!table.caption?.textContent.trim()) wrong.push(`no caption: ${table.className}`);
    for (const th of table.querySelectorAll("th")) {
      if (!["col", "row"].includes(th.scope)) wrong.push(`no scope: ${th.textContent}`);
    }
    for (const tr of table.querySelectorAll("tbody tr")) {
      if (!tr.querySelector("th[scope=row]")) wrong.push(`line without head: ${tr.textContent.slice(0, 40)}`);
    }
  }
  let level = 0;
  for (const h of document.querySelectorAll("h1, h2, h3, h4")) {
    const own = Number(h.tagName[1]);
    if (own > level + 1) wrong.push(`heading skips a level: ${h.textContent}`);
    level = own;
  }
  for (const tag of ["h1", "main", "header"]) {
    if (document.querySelectorAll(tag).length !== 1) wrong.push(`not one ${tag}`);
  }
  if (!document.documentElement.lang || !document.title) wrong.push("no language or title");
  return wrong;
}"""

# Text against what lies behind it: 4.5 to 1, or 3 to 1 where it is large (WCAG 2.2, 1.4.3).
CONTRAST = """() => {
  const colour = (text) => {
    const srgb = /^color\\(srgb ([\\d.e-]+) ([\\d.e-]+) ([\\d.e-]+)(?: \\/ ([\\d.e-]+))?\\)/.exec(text);
    if (srgb) return [255 * srgb[1], 255 * srgb[2], 255 * srgb[3], srgb[4] === undefined ? 1 : Number(srgb[4])];
    const found = /rgba?\\(([^)]+)\\)/.exec(text);
    if (!found) throw new Error(`unknown colour ${text}`);
    const parts = found[1].split(/[\\s,/]+/).map(Number);
    return [parts[0], parts[1], parts[2], parts[3] ?? 1];
  };
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3]));
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(colour(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const light = (c) => c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const wrong = new Map();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const e = node.parentElement;
    if (!node.textContent.trim() || ["SCRIPT", "STYLE", "OPTION", "NOSCRIPT"].includes(e.tagName)) continue;
    if (e.closest("defs, .hidden, .hoverlayer") || !e.getClientRects().length) continue;
    const style = getComputedStyle(e), svg = e.closest("svg") !== null;
    const text = colour(svg ? style.fill : style.color), back = behind(e);
    const [a, b] = [light(over(text, back)), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    seen += 1;
    if (ratio < (large ? 3 : 4.5)) wrong.set(`${e.tagName}.${e.className?.baseVal ?? e.className} ${ratio.toFixed(2)}`,
      node.textContent.slice(0, 30));
  }
  return { seen, wrong: [...wrong] };
}"""

# What the Tab key must reach: all that can be used, and regions that scroll.
REACHABLE = """() => [...document.querySelectorAll(
  "a[href], button, select, summary, [tabindex='0']")].filter((e) => e.getClientRects().length).length"""
FOCUSED = """() => {
  const e = document.activeElement, style = getComputedStyle(e);
  if (!e.dataset.number) e.dataset.number = String(document.querySelectorAll("[data-number]").length + 1);
  return { number: Number(e.dataset.number), body: e === document.body, tag: e.outerHTML.slice(0, 60),
    ring: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth) };
}"""
SCROLLS = """() => [...document.querySelectorAll("main *")].filter((e) => {
  const style = getComputedStyle(e);
  return ["auto", "scroll"].includes(style.overflowX) && e.scrollWidth > e.clientWidth + 1 &&
    e.tabIndex < 0 && !e.closest(".chart");
}).map((e) => e.outerHTML.slice(0, 80))"""

# Words of the page itself that are in no dictionary: text outside of data, code, names and numbers.
UNSAID = """() => {
  const own = "[data-say], [data-zh], code, pre, [lang=en], [dir=auto], .chart, script, style, noscript, option, " +
    ".plain, .reason";
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const text = node.textContent.trim();
    if (/[A-Za-z]{3}/.test(text) && !node.parentElement.closest(own)) found.push(text);
  }
  return found;
}"""
MOVES = """() => [...document.querySelectorAll("body *:not(svg *)")].filter((e) => {
  const style = getComputedStyle(e);
  return (style.animationName !== "none" && style.animationDuration !== "0s") || /[1-9]/.test(style.transitionDuration);
}).length"""
