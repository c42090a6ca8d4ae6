// One question on the page: the conversation, the answers, and what can be said of them, by mouse and keyboard.
import { data, label, put, say } from "./say.js";

const LETTERS = "ABCDEFGHI";
const ROLES = ["system", "developer", "user", "assistant", "tool"];
const at = (id) => document.getElementById(id);

function made(tag, classes = "", parts = []) {
  const element = document.createElement(tag);
  element.className = classes;
  element.append(...parts);
  return element;
}

// Texts of models and users are text, whatever is in them.
function written(text) {
  const element = made("div", "text");
  element.textContent = text;
  element.dir = "auto";
  return element;
}

function turn({ role, text }) {
  const name = put(made("p", "role"), ROLES.includes(role) ? `label_role_${role}` : role);
  return made("div", `turn ${role}`, [name, written(text)]);
}

function button(phrase, key, act, classes = "button") {
  const found = made("button", classes, [put(made("span"), phrase)]);
  found.type = "button";
  if (key) found.append(" ", made("kbd", "", [key]));
  found.addEventListener("click", act);
  return found;
}

const pressed = (element, on) => element.setAttribute("aria-pressed", String(on));

// A letter whatever the input method is doing, and whatever the case.
function letter(event) {
  if (event.key.length === 1) return event.key.toLowerCase();
  return event.code.startsWith("Key") ? event.code.slice(3).toLowerCase() : event.code.replace(/^(Digit|Numpad)/, "");
}

// left, right, tie, neither
function pair(cards, before, send) {
  const choice = (verdict, phrase, key) => {
    const each = button(phrase, key, () => send(verdict), `button choice ${verdict}`);
    pressed(each, before === verdict);
    return each;
  };
  at("choices").replaceChildren(
    choice("left", "label_left", "←"), choice("tie", "label_tie", "T"),
    choice("neither", "label_neither", "N"), choice("right", "label_right", "→"),
  );
  const keys = { ArrowLeft: "left", a: "left", 1: "left", ArrowRight: "right", b: "right", 2: "right", t: "tie",
    n: "neither" };
  return (event) => {
    const verdict = keys[event.key] ?? keys[letter(event)];
    if (verdict) send(verdict);
    return Boolean(verdict);
  };
}

// A number for each answer: ranks, where 1 is the best, or ratings, where the highest is.
function scale(most, name, cards, before, send) {
  const values = before ? [...before] : cards.map(() => null);
  let current = 0;
  const save = button("label_save", "⏎", () => finished() && send(values), "button main");
  const finished = () => values.every((value) => value !== null);
  const chips = cards.map((card, i) => {
    const row = Array.from({ length: most }, (_, n) => {
      const chip = made("button", "chip", [String(n + 1)]);
      chip.type = "button";
      label(chip, say(name, { n: n + 1, best: most, letter: LETTERS[i] }));
      chip.addEventListener("click", (event) => {
        event.stopPropagation();
        if (event.detail) chip.blur(); // clicked, not pressed by a key: Enter is to save
        choose(i, n + 1);
      });
      return chip;
    });
    card.append(made("div", "chips", row));
    card.addEventListener("click", () => move(i));
    return row;
  });
  function draw() {
    chips.forEach((row, i) => row.forEach((chip, n) => pressed(chip, values[i] === n + 1)));
    save.disabled = !finished();
  }
  function move(to) {
    current = (to + cards.length) % cards.length;
    cards.forEach((card, i) => card.classList.toggle("current", i === current));
  }
  function choose(i, value) {
    values[i] = value;
    draw();
    const open = values.findIndex((each) => each === null);
    move(open >= 0 ? open : i);
    cards[current].scrollIntoView({ block: "nearest" });
  }
  at("choices").replaceChildren(save);
  move(0);
  draw();
  return (event) => {
    const number = Number(letter(event));
    if (number >= 1 && number <= most) choose(current, number);
    else if (event.key === "ArrowDown" || event.key === "ArrowRight") move(current + 1);
    else if (event.key === "ArrowUp" || event.key === "ArrowLeft") move(current - 1);
    else if (event.key === "Enter" && finished()) send(values);
    else return false;
    return true;
  };
}

// The better answer, and its text to be improved.
function edit(cards, answers, before, send) {
  const field = at("edited");
  let better = null;
  const save = button("label_save", "Ctrl ⏎", () => finish(), "button main");
  const finish = () => { if (better !== null && field.value.trim()) send({ better, edited: field.value }); };
  const choices = cards.map((card, i) => {
    const choice = button("label_better", LETTERS[i], () => choose(i, answers[i]));
    card.append(made("div", "chips", [choice]));
    return choice;
  });
  function choose(i, text) {
    better = i;
    cards.forEach((card, j) => card.classList.toggle("current", j === i));
    choices.forEach((choice, j) => pressed(choice, j === i));
    at("editing").hidden = false;
    field.value = text;
    field.rows = Math.min(16, Math.max(5, text.split("\n").length + Math.ceil(text.length / 70)));
    save.disabled = false;
    field.focus();
    at("editing").scrollIntoView({ block: "nearest" });
  }
  save.disabled = true;
  at("choices").replaceChildren(save);
  choices.forEach((choice) => pressed(choice, false));
  if (before) choose(before.better, before.edited);
  return (event) => {
    const number = LETTERS.toLowerCase().indexOf(letter(event));
    const chosen = number >= 0 ? number : Number(letter(event)) - 1;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) finish();
    else if (chosen >= 0 && chosen < cards.length && !event.ctrlKey && !event.metaKey) choose(chosen, answers[chosen]);
    else return false;
    return true;
  };
}

const KINDS = {
  pair: (cards, question, send) => pair(cards, question.before, send),
  ranking: (cards, question, send) => scale(cards.length, "label_rank", cards, question.before, send),
  rating: (cards, question, send) => scale(data.best, "label_rate", cards, question.before, send),
  edit: (cards, question, send) => edit(cards, question.answers, question.before, send),
};

// Draws a question; gives what handles its keys. send: is called with what was said.
export function draw(question, kind, send) {
  put(at("hint"), `label_hint_${kind}`);
  at("editing").hidden = true;
  at("turns").replaceChildren(...question.turns.map(turn));
  const cards = question.answers.map((answer, i) => {
    const head = put(made("h2"), say("label_answer", { letter: LETTERS[i] }));
    const card = made("article", "answer", [head, written(answer)]);
    head.id = `answer-${i}`;
    card.setAttribute("aria-labelledby", head.id);
    return card;
  });
  at("answers").className = cards.length === 2 ? "two" : "many";
  at("answers").replaceChildren(...cards);
  const keys = KINDS[kind](cards, question, send);
  window.scrollTo(0, 0);
  return keys;
}
