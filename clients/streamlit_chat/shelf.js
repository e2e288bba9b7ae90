// The visitor's conversations: those kept in this browser's storage, until the tab is closed, or not at all, where the page
// is set up so; and those that the service lists, which can be renamed, and come back after they were deleted. Streamlit
// calls this again whenever its data change; what came from storage or from the visitor is only ever put in as text.
const COMMON = `pustaka.conversations${location.pathname}`;
const OURS = /^web-[A-Za-z0-9_-]{22}$/;
const MOST = 50;
const listening = new WeakMap();
// While the page is open: the ids that were taken off the list, each once, since one that was restored comes on it again; and
// how many turns of each conversation were noted, so that a tab that still shows a removed one does not put it on the list again.
const takenOff = new Set();
const turnsNoted = new Map();
let clearedBefore = "";

// Where the list is kept, and under what name: each who signs in has one. Looking at the place may throw.
let place = () => localStorage;
let key = COMMON;

// Tells the other tabs that the visit has ended, or that all was cleared. One for as long as the page is open: a message
// does not come back to the channel that sent it, and one that is closed sends none.
const leaving = (globalThis.pustakaLeaving ??= new BroadcastChannel(COMMON));
leaving.onmessage = ({ data }) => (data === "cleared" ? clear() : leave(location.pathname));
let draw = () => {};

function clear() {
  forget(() => sessionStorage); // what was typed is there in any case
  tellForgotten(null);
  draw();
}

// page.js has the box, in which a draft may stand; null: any.
function tellForgotten(draft) {
  document.dispatchEvent(new CustomEvent("pustaka-forgotten", { detail: draft }));
}

export default function ({ data, parentElement, setTriggerValue }) {
  listening.get(parentElement)?.abort();
  const controller = new AbortController();
  listening.set(parentElement, controller);
  key = data.owner ? `${COMMON}#${data.owner}` : COMMON;
  place = () => (data.history === "on" ? localStorage : sessionStorage);
  if (data.history !== "on") forget(() => localStorage);
  if (data.cleared !== clearedBefore) {
    clearedBefore = data.cleared;
    forget(() => localStorage);
    clear();
    leaving.postMessage("cleared"); // each tab has a storage of its own, and a box
  }
  if (data.history === "off") {
    forget(() => sessionStorage);
    showNothing(parentElement, data.texts, () => endVisit(data.owner));
    return () => controller.abort();
  }
  draw = () => show(parentElement, merge(read(), data), data, setTriggerValue, () => endVisit(data.owner));
  update(data);
  draw();
  const onStorage = (event) => (event.key === key || event.key === null) && draw();
  addEventListener("storage", onStorage, { signal: controller.signal });
  return () => controller.abort();
}

function forget(from) {
  try {
    const kept = from();
    for (const name of Object.keys(kept)) if (name.startsWith(COMMON)) kept.removeItem(name);
  } catch {
    // Then nothing was kept.
  }
}

// The entries {id, title, used}, newest first; null where the browser keeps nothing.
function read() {
  let kept;
  try {
    kept = place().getItem(key);
  } catch {
    return null;
  }
  try {
    const entries = JSON.parse(kept ?? "[]");
    return entries.filter((entry) => OURS.test(entry.id) && typeof entry.title === "string");
  } catch {
    return []; // not of our making
  }
}

// Those of the service, with those that it does not know (yet), newest first; a search shows what it has found alone.
function merge(entries, { kept, isSearch, removed }) {
  if (!kept) return entries;
  const local = new Map((entries ?? []).map((entry) => [entry.id, entry]));
  const listed = kept.filter((entry) => OURS.test(entry.id) && !removed.includes(entry.id));
  const all = listed.map((entry) => {
    const used = Math.max(entry.used, local.get(entry.id)?.used ?? 0);
    local.delete(entry.id);
    return { ...entry, used };
  });
  if (!isSearch) all.push(...local.values());
  return all.sort((one, other) => other.used - one.used).slice(0, MOST);
}

function update({ current, removed }) {
  let entries = read();
  if (entries === null) return;
  const before = JSON.stringify(entries);
  const gone = removed.filter((id) => !takenOff.has(id));
  gone.forEach((id) => takenOff.add(id));
  gone.forEach(forgetDraft);
  entries = entries.filter((entry) => !gone.includes(entry.id));
  if (current && current.turns > (turnsNoted.get(current.id) ?? 0)) {
    const { id, turns } = current;
    turnsNoted.set(id, turns);
    const known = entries.find((entry) => entry.id === id);
    const used = known && known.turns >= turns ? known.used : Date.now();
    // The first question, which names it, may not be among the messages that are shown.
    const title = current.fromStart || !known ? current.title : known.title;
    entries = [...entries.filter((entry) => entry !== known), { id, title, turns, used }];
  }
  entries.sort((one, other) => other.used - one.used);
  entries = entries.slice(0, MOST);
  if (JSON.stringify(entries) === before) return;
  try {
    place().setItem(key, JSON.stringify(entries));
  } catch {
    // Full, or closed meanwhile: the list stays as it was.
  }
}

// As page.js calls it.
function forgetDraft(id) {
  const name = `${COMMON}.draft#${id}`;
  const draft = sessionStorage.getItem(name);
  sessionStorage.removeItem(name);
  if (draft) tellForgotten(draft);
}

function show(parent, entries, { current, history, isSearch, kept, texts }, send, end) {
  const currentId = current?.id;
  const isKept = Boolean(kept); // by the service
  let list = parent.querySelector("nav");
  const wanted = JSON.stringify([entries, currentId, isSearch, isKept, texts]);
  if (list) Object.assign(list, { send, end }); // those of an earlier call are out of date, even if the list is not
  if (list?.dataset.shown === wanted) return;
  const focused = list?.contains(list.getRootNode().activeElement) && list.getRootNode().activeElement.dataset.name;
  if (!list) {
    list = make("nav", { send, end });
    parent.append(list);
  }
  list.ariaLabel = texts.conversations;
  list.dataset.shown = wanted;
  const title = make("h2", { textContent: texts.conversations });
  list.replaceChildren(title, entries?.length ? rows(list, entries, currentId, isKept, texts) : note(entries, isSearch, texts));
  if (history === "session") list.append(...ending(texts.end_visit, texts.end_visit_list, () => list.end()));
  if (focused) list.querySelector(`[data-name="${focused}"]`)?.focus();
}

function showNothing(parent, texts, end) {
  parent.querySelector("section")?.remove();
  const all = make("section", {});
  all.append(...ending(texts.end_visit, texts.end_visit_anew, end));
  parent.append(all);
}

// For computers that several people use.
function ending(title, effect, end) {
  const button = make("button", { type: "button", className: "ending", textContent: title });
  button.addEventListener("click", end);
  return [button, make("p", { textContent: effect })];
}

async function endVisit(owner) {
  try {
    await fetch("visitor/new", { method: "POST", headers: { "X-Requested-With": "pustaka" } });
  } finally {
    leaving.postMessage("ended");
    leave(owner ? "auth/logout" : location.pathname);
  }
}

function leave(to) {
  forget(() => sessionStorage);
  forget(() => localStorage);
  location.replace(to);
}

function note(entries, isSearch, texts) {
  if (isSearch) return make("p", { textContent: texts.conversations_none_found });
  return make("p", { textContent: entries ? texts.conversations_none : texts.conversations_blocked }); // where they are kept, the page itself says
}

function rows(list, entries, currentId, isKept, texts) {
  const all = make("ul", {});
  for (const { id, title } of entries) {
    const row = make("li", {});
    const link = make("a", { href: `?c=${id}`, title });
    const [, name, number = ""] = /^(.*?)( \(\d+\))?$/s.exec(title); // as the service numbers copies
    link.append(make("span", { textContent: name }), make("span", { textContent: number, className: "copy" }));
    link.dataset.name = `open-${id}`;
    if (id === currentId) {
      row.dataset.current = "";
      link.setAttribute("aria-current", "page");
    }
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
      event.preventDefault();
      if (id !== currentId) list.send("opened", id);
      closeNarrowSidebar();
    });
    row.append(link);
    if (isKept) row.append(makeButton(list, texts.rename, { id, title }, "renamed", "M3 13l1-3 7-7 2 2-7 7z"));
    row.append(makeButton(list, texts.delete, { id, title }, "discarded", "M4 4l8 8M12 4l-8 8"));
    all.append(row);
  }
  return all;
}

function makeButton(list, verb, entry, choice, path) {
  const button = make("button", { type: "button", title: verb, ariaLabel: `${verb} “${entry.title}”` });
  button.dataset.name = `${choice}-${entry.id}`;
  button.innerHTML = '<svg viewBox="0 0 16 16" aria-hidden="true"><path/></svg>';
  button.querySelector("path").setAttribute("d", path);
  button.addEventListener("click", () => list.send(choice, entry));
  return button;
}

// On a small screen the list lies over the conversation.
function closeNarrowSidebar() {
  if (innerWidth < 768) document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
}

function make(kind, properties) {
  return Object.assign(document.createElement(kind), properties);
}
