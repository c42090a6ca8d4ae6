"use strict";
// What the page says, in the reader's language. A phrase is a key, or {t: key, v: values}; values may be phrases.
const report = JSON.parse(document.getElementById("report-data").textContent);
const words = (() => {
  const listeners = [];
  let language = "en";

  function value(given) {
    if (Array.isArray(given)) return given.map(value).join(report.words[language].comma);
    return given !== null && typeof given === "object" ? text(given) : String(given ?? "");
  }

  // Plain and code parts in turn. Values are put in last: a backtick in one of them is a backtick.
  function parts(phrase) {
    const { t, v = {} } = typeof phrase === "string" ? { t: phrase } : phrase;
    return report.words[language][t].split("`").map((part) => part.replace(/\{(\w+)\}/g, (_, name) => value(v[name])));
  }

  const text = (phrase) => parts(phrase).join("");

  function write(element, phrase) {
    element.replaceChildren(...parts(phrase).map((part, at) => {
      if (at % 2 === 0) return document.createTextNode(part);
      return Object.assign(document.createElement("code"), { textContent: part });
    }));
  }

  const read = (carried) => (carried.startsWith("{") ? JSON.parse(carried) : carried);

  function all() {
    document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
    document.title = text({ t: "page_title", v: { title: report.title } });
    for (const element of document.querySelectorAll("[data-say]")) write(element, read(element.dataset.say));
    for (const name of ["aria-label", "title"]) {
      for (const element of document.querySelectorAll(`[data-say-${name}]`)) {
        element.setAttribute(name, text(read(element.getAttribute(`data-say-${name}`))));
      }
    }
    for (const element of document.querySelectorAll("[data-zh]")) {
      element.dataset.en ??= element.textContent;
      element.textContent = language === "zh" ? element.dataset.zh : element.dataset.en;
    }
    for (const button of document.querySelectorAll("[data-language]")) {
      button.setAttribute("aria-pressed", String(button.dataset.language === language));
    }
    for (const listener of listeners) listener();
  }

  // A page opened as a file may be refused a memory of its own.
  const remembered = (set) => {
    try {
      if (set) localStorage.setItem("luthier-language", set);
      return localStorage.getItem("luthier-language");
    } catch (refused) {
      return null;
    }
  };

  function choose(chosen) {
    language = chosen;
    all();
  }

  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => { remembered(button.dataset.language); choose(button.dataset.language); });
  }

  return {
    text, value,
    // An element that says a phrase, and says it again when the language changes.
    put(element, phrase) {
      element.dataset.say = typeof phrase === "string" ? phrase : JSON.stringify(phrase);
      write(element, phrase);
      return element;
    },
    label(element, phrase) {
      element.setAttribute("data-say-aria-label", typeof phrase === "string" ? phrase : JSON.stringify(phrase));
      element.setAttribute("aria-label", text(phrase));
    },
    changed: (listener) => listeners.push(listener),
    start() {
      const first = (navigator.languages?.[0] ?? navigator.language ?? "en").toLowerCase();
      const known = remembered();
      choose(known === "en" || known === "zh" ? known : first.startsWith("zh") ? "zh" : "en");
    },
  };
})();
