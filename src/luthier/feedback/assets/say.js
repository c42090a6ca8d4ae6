// What the page says, in the reader's language. A phrase is a key, or {t: key, v: values}; values may be phrases.
export const data = JSON.parse(document.getElementById("label-data").textContent);
const listeners = [];
let language = "en";

function value(given) {
  if (Array.isArray(given)) return given.map(value).join(data.texts[language].comma);
  return given !== null && typeof given === "object" ? text(given) : String(given ?? "");
}

// Plain and code parts in turn. Values are put in last: a backtick in one of them is a backtick.
function parts(phrase) {
  if (typeof phrase === "string" && !(phrase in data.texts[language])) return [phrase];
  const { t, v = {} } = typeof phrase === "string" ? { t: phrase } : phrase;
  const said = data.texts[language][t] ?? t;
  return said.split("`").map((part) => part.replace(/\{(\w+)\}/g, (_, name) => value(v[name])));
}

export const text = (phrase) => parts(phrase).join("");

export const say = (t, v = {}) => ({ t, v });

// An element says a phrase, and says it again when the language changes.
export function put(element, phrase) {
  element.dataset.say = JSON.stringify(phrase);
  element.replaceChildren(...parts(phrase).map((part, at) => {
    if (at % 2 === 0) return document.createTextNode(part);
    return Object.assign(document.createElement("code"), { textContent: part });
  }));
  return element;
}

export function label(element, phrase) {
  element.setAttribute("data-say-aria-label", JSON.stringify(phrase));
  element.setAttribute("aria-label", text(phrase));
  return element;
}

const read = (carried) => (/^["{]/.test(carried) ? JSON.parse(carried) : carried);

function all() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  document.title = text("label_title");
  for (const element of document.querySelectorAll("[data-say]")) put(element, read(element.dataset.say));
  for (const element of document.querySelectorAll("[data-say-aria-label]")) {
    label(element, read(element.getAttribute("data-say-aria-label")));
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
  for (const listener of listeners) listener();
}

export function start() {
  const first = (navigator.languages?.[0] ?? navigator.language ?? "en").toLowerCase();
  const known = localStorage.getItem("luthier-language");
  language = known === "en" || known === "zh" ? known : first.startsWith("zh") ? "zh" : "en";
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      language = button.dataset.language;
      localStorage.setItem("luthier-language", language);
      all();
    });
  }
  all();
}
