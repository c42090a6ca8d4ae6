// Speaks to the server, and does not give up: what cannot be delivered is tried again until there is an answer.

// An answer that trying again does not change: a code for the page, and a phrase for the reader.
export class Refusal extends Error {
  constructor(given) {
    super(given.code);
    this.code = given.code ?? "wrong";
    this.why = given.error ?? "label_fault";
  }
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function once(path, body) {
  const answer = await fetch(`api/${path}`, {
    method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body), signal: AbortSignal.timeout(20000),
  });
  const given = await answer.json().catch(() => ({}));
  const again = answer.status >= 500 || answer.status === 403;
  return { given, ok: answer.ok, again };
}

// trouble: is told what to say while there is no answer, and null once there is one.
export async function post(path, body, trouble) {
  for (let wait = 400; ; wait = Math.min(2 * wait, 5000)) {
    const found = await once(path, body).catch(() => null);
    if (found !== null && !found.again) {
      trouble(null);
      if (!found.ok) throw new Refusal(found.given);
      return found.given;
    }
    trouble(found === null ? "label_offline" : found.given.error ?? "label_fault");
    await pause(wait);
  }
}

// Says that the browser is still open; a refusal says that it is not its turn any more.
export async function alive(session) {
  const found = await once("alive", { session }).catch(() => null);
  if (found !== null && !found.ok && !found.again) throw new Refusal(found.given);
}

// A key of its own for every label. (`randomUUID` is missing on plain addresses of other machines.)
export function key() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
