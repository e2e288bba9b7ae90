// The service over HTTP: visitors' tokens, questions, and the events of their answers, whatever happens to the network.

const LAST_EVENTS = new Set(["done", "error", "cancelled", "waiting"]);
const PAUSES_MS = [500, 1000, 2000, 4000, 8000];
const LONGEST_AWAY_MS = 300_000;
const EARLY_MS = 60_000; // a token is renewed so long before its end
const LOOK_MS = 5000;
const ORIGIN_REFUSED = "origin-refused";
const PROBLEM = "urn:pustaka:problem:";

/** The service refused: `problem` is its RFC 9457 document, `waitS` what it said of when to come back. */
class Refused extends Error {
  constructor(status, problem, waitS) {
    super(problem.detail || `HTTP ${status}`);
    Object.assign(this, { status, problem, waitS });
  }

  get kind() {
    return String(this.problem.type || "").replace(PROBLEM, "");
  }

  /** Whether the same request may work in a moment. */
  get passes() {
    return this.status >= 502 || (this.status === 503 && this.kind !== "store-refused");
  }
}

const makeId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    for (const [target, name] of [[window, "online"], [signal, "abort"]])
      target?.addEventListener(name, () => (clearTimeout(timer), resolve()), { once: true });
  });

/** What this tab remembers, gone when the tab is closed; where a page may store nothing, until it is left. */
class Memory {
  constructor(name) {
    this.name = `pustaka:${name}`;
    this.own = {};
  }

  read() {
    try {
      return { ...JSON.parse(sessionStorage.getItem(this.name) || "{}"), ...this.own };
    } catch {
      return this.own;
    }
  }

  write(values) {
    this.own = { ...this.read(), ...values };
    try {
      sessionStorage.setItem(this.name, JSON.stringify(this.own));
    } catch {
      // the page lets nothing be stored
    }
  }
}

/** Asks one bot as a visitor of this page. */
class Service {
  constructor(base, publicId, memory) {
    Object.assign(this, { base, publicId, memory });
  }

  /** What the service tells visitors; makes them one, or renews what they have. */
  async visit({ anew = false } = {}) {
    const { visit } = this.memory.read();
    if (visit && !anew && Date.parse(visit.expires_at) - Date.now() > EARLY_MS) return visit;
    // All who ask meanwhile wait for the one visitor: a second one would not find what the first has asked.
    this.visiting ??= this.becomeVisitor(visit).finally(() => (this.visiting = null));
    return this.visiting;
  }

  async becomeVisitor(visit) {
    const body = { public_id: this.publicId, ...(visit ? { token: visit.token } : {}) };
    const ask = () => this.send("v1/visitors", { method: "POST", body, open: true });
    const answer = await ask().catch(async (error) => {
      if (error instanceof Refused || !(await this.isThere())) throw error;
      return ask().catch((again) => {
        throw again instanceof Refused ? again : new Refused(403, { type: PROBLEM + ORIGIN_REFUSED }, 0);
      });
    });
    const made = await answer.json();
    this.memory.write({ visit: made });
    return made;
  }

  /**
   * Whether the service answers, by a file that pages of all websites may read. Of a request that is refused to this website a browser
   * tells no more than that it failed.
   */
  async isThere() {
    const options = { method: "HEAD", cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer", signal: AbortSignal.timeout(LOOK_MS) };
    return fetch(`${this.base}widget.css`, options).then(({ ok }) => ok, () => false);
  }

  /** One request; the response, if it is a success. */
  async send(path, { method = "GET", body, headers = {}, signal, open = false, again = true } = {}) {
    const sent = { ...headers };
    if (!open) sent.Authorization = `Bearer ${(await this.visit()).token}`;
    if (body) sent["Content-Type"] = "application/json";
    const answer = await fetch(this.base + path, {
      method, signal, headers: sent, body: body && JSON.stringify(body), credentials: "omit", referrerPolicy: "no-referrer",
    });
    if (answer.ok) return answer;
    if (answer.status === 401 && !open && again) {
      await this.visit({ anew: true });
      return this.send(path, { method, body, headers, signal, again: false });
    }
    const problem = await answer.json().catch(() => ({}));
    throw new Refused(answer.status, problem, Number(answer.headers.get("Retry-After")) || 0);
  }

  /**
   * Put a file to a conversation, once under the same *key*; `show(share)` is told how much has been sent, which fetch does not tell.
   */
  async attach(conversationId, file, key, { show, signal, again = true }) {
    const { token } = await this.visit();
    const request = new XMLHttpRequest();
    await new Promise((resolve, reject) => {
      request.open("POST", `${this.base}v1/conversations/${conversationId}/files`);
      for (const [name, value] of [["Authorization", `Bearer ${token}`], ["Idempotency-Key", key]]) request.setRequestHeader(name, value);
      request.responseType = "json";
      request.timeout = LONGEST_AWAY_MS;
      request.upload.onprogress = ({ loaded, total }) => show(loaded / total);
      request.onload = resolve;
      request.onerror = request.ontimeout = request.onabort = () => reject(new TypeError("The file could not be sent."));
      signal.addEventListener("abort", () => request.abort());
      const form = new FormData();
      form.append("files", file);
      request.send(form);
    });
    if (request.status === 201 && request.response) return request.response;
    if (request.status !== 401 || !again) throw new Refused(request.status, request.response || {}, Number(request.getResponseHeader("Retry-After")) || 0);
    await this.visit({ anew: true });
    return this.attach(conversationId, file, key, { show, signal, again: false });
  }

  async get(path) {
    return (await this.send(path)).json();
  }

  /**
   * Every event of the answer to a question, or of a run that is under way; {type: "lost"} while there is no connection.
   * A question is sent again under its key until the service has taken it, and its run followed to its end.
   */
  async *follow({ message, conversationId, runId }, signal) {
    const key = makeId();
    let last = "";
    let failures = 0;
    let lostAt = 0;
    while (!signal.aborted) {
      try {
        const answer = runId
          ? await this.send(`v1/runs/${runId}/events`, { headers: last ? { "Last-Event-ID": last } : {}, signal })
          : await this.ask(message, conversationId, key, signal);
        runId = answer.headers.get("X-Run-Id") || runId;
        for await (const { id, data } of readEvents(answer.body)) {
          failures = lostAt = 0;
          last = id || last;
          runId = data.run_id || runId;
          yield data;
          if (LAST_EVENTS.has(data.type)) return;
        }
      } catch (error) {
        if (error instanceof Refused && !error.passes) throw error;
      }
      if (signal.aborted) return;
      lostAt ||= Date.now();
      if (Date.now() - lostAt > LONGEST_AWAY_MS) throw new Refused(503, {}, 0);
      if (failures) yield { type: "lost" };
      await pause(PAUSES_MS[Math.min(failures++, PAUSES_MS.length - 1)], signal);
    }
  }

  ask(message, conversationId, key, signal) {
    const body = { message, session_id: conversationId || null, on_disconnect: "continue" };
    return this.send("v1/chat/stream", { method: "POST", body, headers: { "Idempotency-Key": key }, signal });
  }
}

/** The events of a stream, as https://html.spec.whatwg.org/multipage/server-sent-events.html has them. */
async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const text of events) {
        const fields = Object.fromEntries(
          text.split("\n").filter((line) => !line.startsWith(":")).map((line) => /^([^:]*):? ?(.*)$/.exec(line).slice(1)),
        );
        if (fields.data) yield { id: fields.id, data: JSON.parse(fields.data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
