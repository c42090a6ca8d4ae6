// The flow of the labelling page: a name, one question after another, what was said kept until the server has it.
import { draw } from "./question.js";
import { data, put, say, start } from "./say.js";
import { alive, key, post, Refusal } from "./server.js";

const at = (id) => document.getElementById(id);
const MEMORY = `luthier-label-${data.project}`;
const SIGN = 30000; // milliseconds between signs that the browser is open
// name, session: who labels here. pending: what was said and is not known to be kept.
let me = JSON.parse(localStorage.getItem(MEMORY) ?? "{}");
let state = null;
let busy = false;
let keys = () => false;

const remember = () => localStorage.setItem(MEMORY, JSON.stringify(me));

function trouble(phrase) {
  at("trouble").hidden = phrase === null;
  if (phrase !== null) put(at("trouble"), phrase);
}

const told = (phrase) => put(at("said"), phrase);

function view(name, title) {
  put(at("ask"), title);
  for (const id of ["entrance", "question", "end"]) at(id).hidden = id !== name;
  at("who").hidden = name === "entrance";
}

function show(given) {
  state = given;
  const { done, left, skipped, question } = given;
  put(at("as"), say("label_as", { name: given.name }));
  put(at("counted"), say(skipped ? "label_progress_skipped" : "label_progress", { done, left, skipped }));
  Object.assign(at("progress"), { max: Math.max(done + left, 1), value: done });
  at("undo").disabled = at("end-undo").disabled = given.last === null;
  put(at("thanks"), say("label_thanks", { done }));
  put(at("again"), say("label_again", { count: skipped })).hidden = !skipped;
  if (question === null) {
    view("end", "label_end_title");
  } else {
    view("question", `label_ask_${given.kind}`);
    keys = draw(question, given.kind, said);
    at("ask").focus({ preventScroll: true });
  }
}

function leave(why) {
  state = null;
  delete me.session;
  remember();
  view("entrance", "label_name_title");
  at("known").hidden = true;
  at("entering").hidden = false;
  at("name").value = me.name ?? "";
  at("name").focus();
  told(why ?? "");
}

// One thing at a time; what the server refuses for good is said, and the page goes on from what it knows.
async function doing(act) {
  if (busy) return;
  busy = true;
  document.body.classList.add("busy");
  try {
    await act();
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    if (refusal.code === "taken_over") return leave(refusal.why);
    delete me.pending;
    remember();
    show(await post("next", { session: me.session }, trouble));
    told(refusal.why);
  } finally {
    busy = false;
    document.body.classList.remove("busy");
  }
}

async function deliver() {
  const given = await post("label", { session: me.session, ...me.pending }, trouble);
  const skipped = me.pending.value === null;
  delete me.pending;
  remember();
  show(given);
  told(skipped ? "label_skipped" : "label_saved");
}

const said = (value) => doing(async () => {
  told("label_saving");
  me.pending = { question: state.question.id, key: key(), value };
  remember();
  await deliver();
});

const undo = () => doing(async () => {
  if (!state?.last) return;
  show(await post("undo", { session: me.session, key: state.last }, trouble));
  told("label_undone");
});

const ask = (path) => doing(async () => show(await post(path, { session: me.session }, trouble)));

async function enter(name, takeOver = false) {
  if (busy) return;
  busy = true;
  try {
    const session = me.name === name ? me.session ?? "" : "";
    const given = await post("enter", { name, session, take_over: takeOver }, trouble);
    const pending = me.name === given.name ? me.pending : undefined;
    me = { name: given.name, session: given.session, pending };
    remember();
    told("");
    show(given);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    view("entrance", "label_name_title");
    const known = refusal.code === "name_taken" && refusal.why.t !== "label_name_machine";
    at("known").hidden = !known;
    at("entering").hidden = known;
    at("name").value = name;
    if (known) put(at("known-why"), refusal.why);
    else told(refusal.why);
    (known ? at("take-over") : at("name")).focus();
    return;
  } finally {
    busy = false;
  }
  if (me.pending) await doing(deliver);
}

function pressedKey(event) {
  const field = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
  const command = event.ctrlKey || event.metaKey;
  if (busy || event.repeat || event.altKey || state === null || event.isComposing) return;
  if (field) {
    if (event.key === "Escape") at("ask").focus();
    else if (!(command && event.key === "Enter")) return;
  }
  const which = event.key.length === 1 ? event.key.toLowerCase() : event.code.replace("Key", "").toLowerCase();
  if (!field && ((which === "u" && !command) || (which === "z" && command))) undo();
  else if (at("question").hidden || (command && event.key !== "Enter")) return;
  else if (!field && which === "s") said(null);
  else if (event.key === "Enter" && !command && event.target.tagName === "BUTTON") return;
  else if (!keys(event)) return;
  event.preventDefault();
}

document.addEventListener("keydown", pressedKey);
at("skip").addEventListener("click", () => said(null));
at("undo").addEventListener("click", undo);
at("end-undo").addEventListener("click", undo);
at("again").addEventListener("click", () => ask("again"));
at("look").addEventListener("click", () => ask("next"));
at("change").addEventListener("click", () => leave());
at("entering").addEventListener("submit", (event) => { event.preventDefault(); enter(at("name").value); });
at("take-over").addEventListener("click", () => enter(at("name").value, true));
at("other-name").addEventListener("click", () => { at("name").value = ""; leave(); at("name").value = ""; });
setInterval(() => {
  if (state === null || busy) return;
  alive(me.session).catch((refusal) => refusal.code === "taken_over" && leave(refusal.why));
}, SIGN);

history.replaceState(null, "", location.pathname); // the token stays out of the address, the history and screenshots
start();
if (me.session) enter(me.name);
else leave();
