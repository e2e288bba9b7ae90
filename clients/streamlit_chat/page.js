// What the page does in the browser itself: marks open their sources, and printing opens all, the question's box is ready to
// be typed in and keeps what was typed. Streamlit calls this again whenever its data change.
const listening = new WeakMap();
const LOST_AFTER_MS = 2000;
const ASKED_EVERY_MS = 5000;
const SOUGHT_FOR_MS = 2000;
const HELD_MS = 5000; // what stands below an answer has been drawn then
const MOVES = ["wheel", "touchmove", "pointerdown", "keydown"];
const BOX = '[data-testid="stChatInputTextArea"]';
// Begins as the names of the list of conversations do, so that it is forgotten with them.
const DRAFT = `pustaka.conversations${location.pathname}.draft#`;
const OWNER = `pustaka.conversations${location.pathname}.draft-owner`;
let seen = null; // how many answers there were when something was asked; null: nothing was
let held = null; // ends the holding of the page in one place
let hasMoved = false; // since something was asked
let recalled = { at: 0, text: "" }; // the question that was brought back, and which one it is
let wanted = null; // the newest wish to see a source
let shownTalk = null; // the conversation whose draft is in the box, "" where one has to sign in first
let keptAs = null; // the name of the draft in the box
let shownTo = null; // who has signed in, "" for nobody

export default function ({ data, parentElement, setTriggerValue }) {
  document.documentElement.lang = data.language;
  listening.get(parentElement)?.abort();
  const controller = new AbortController();
  listening.set(parentElement, controller);
  const options = { capture: true, signal: controller.signal };
  const onClick = (event) => {
    if (event.target.closest?.("button") && !document.querySelector(".st-key-stop")) noteAsked();
    const mark = event.target.closest?.('a[href^="#source-"]');
    if (mark && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
      event.preventDefault();
      openSource(mark.hash.slice(1));
    } else if (event.target.closest?.('[data-testid="stChatInputSubmitButton"]')) {
      noteSent();
    }
  };
  // Before Streamlit hears of it: it makes the pressed button another one at once.
  document.addEventListener("click", onClick, options);
  document.addEventListener("pustaka-question", (event) => putIntoBox(event.detail), options);
  document.addEventListener("pustaka-forgotten", (event) => emptyBox(event.detail), options);
  document.addEventListener("keydown", onKey, options);
  if (data.keepsDrafts) {
    const keep = (event) => event.target.matches?.(BOX) && keepDraft(event.target.value);
    document.addEventListener("input", keep, options);
  }
  forgetOthers(data);
  beginAtTop(controller.signal);
  prepareBox(data, controller.signal); // which may hold the page elsewhere
  noteMoves(controller.signal);
  watchMessages(controller.signal, data.names);
  // A server that was restarted knows no button before it has drawn the page once.
  watchConnection(controller.signal, data.lost, () => setTriggerValue("back", true));
  openForPrint(controller.signal);
  return () => controller.abort();
}

// Escape stops the answer, or ends the editing of a question. The upward arrow in an empty box brings the last question
// back, and pressed again the ones before.
function onKey(event) {
  if (event.key === "Escape" && !document.querySelector('[role="dialog"]')) {
    document.querySelector(".st-key-stop button, .st-key-editing button")?.click();
  }
  if (event.isComposing || !event.target.matches?.(BOX)) return;
  if (event.key === "Enter" && !event.shiftKey) {
    noteSent();
  }
  if (event.key !== "ArrowUp" || (event.target.value && event.target.value !== recalled.text)) return;
  const asked = [...document.querySelectorAll('[aria-label="Chat message from user"] [data-testid="stText"]')];
  const at = (event.target.value ? recalled.at : asked.length) - 1;
  if (!asked[at]) return;
  event.preventDefault();
  recalled = { at, text: asked[at].textContent };
  fill(event.target, recalled.text);
}

// A phone would open its keyboard over the page.
function prepareBox({ conversation, keepsDrafts }, signal) {
  if (shownTalk === conversation) return;
  whenReady((box) => {
    keptAs = null;
    const draft = (keepsDrafts && readDraft()) || "";
    if (box.value !== draft && (shownTalk || !box.value)) fill(box, draft);
    if (shownTalk !== null && nameDraft() !== DRAFT) showNewest();
    shownTalk = conversation;
    const isFree = !document.activeElement || document.activeElement === document.body;
    if (isFree && matchMedia("(hover: hover)").matches) box.focus({ preventScroll: true });
  }, signal);
}

// The box may be drawn a moment later, and takes nothing for moments in which Streamlit is busy.
function whenReady(use, signal) {
  const look = () => {
    const box = document.querySelector(BOX);
    if (!box || box.disabled) return false;
    use(box);
    return true;
  };
  if (look()) return;
  const observer = new MutationObserver(() => look() && observer.disconnect());
  observer.observe(document.body, { childList: true, subtree: true, attributeFilter: ["disabled"] });
  signal.addEventListener("abort", () => observer.disconnect());
}

// Whoever has read further up follows the end again.
function noteSent() {
  keepDraft("");
  noteAsked();
  held?.abort();
  const main = document.querySelector(".stMain");
  if (main) main.scrollTop = main.scrollHeight;
}

function noteAsked() {
  seen = listAnswers().length;
  hasMoved = false;
}

function putIntoBox(text) {
  const isLate = AbortSignal.timeout(SOUGHT_FOR_MS);
  whenReady((box) => {
    fill(box, text);
    box.focus();
  }, isLate);
}

// As if it were typed: React does not hear of a value that is only set.
function fill(box, text) {
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(box, text);
  box.dispatchEvent(new Event("input", { bubbles: true }));
  box.setSelectionRange(text.length, text.length);
}

// By the address, which names a conversation once it has begun, as the shell and the list of conversations do.
function nameDraft() {
  return DRAFT + (new URLSearchParams(location.search).get("c") ?? "");
}

function keepDraft(text) {
  const name = nameDraft();
  try {
    if (keptAs === DRAFT) sessionStorage.removeItem(DRAFT); // its conversation may have begun since
    keptAs = name;
    if (text) sessionStorage.setItem(name, text);
    else sessionStorage.removeItem(name);
  } catch {
    // Full, or closed: then it is not kept.
  }
}

function readDraft() {
  try {
    return sessionStorage.getItem(nameDraft());
  } catch {
    return null;
  }
}

// What one visitor has typed is not for the next one in this tab, who has signed in or out.
function forgetOthers({ owner, keepsDrafts }) {
  if (shownTo !== null && shownTo !== owner) emptyBox(null);
  shownTo = owner;
  if (!keepsDrafts) return;
  try {
    if ((sessionStorage.getItem(OWNER) ?? "") === owner) return;
    for (const name of Object.keys(sessionStorage)) if (name.startsWith(DRAFT)) sessionStorage.removeItem(name);
    sessionStorage.setItem(OWNER, owner);
  } catch {
    // Then nothing was kept.
  }
}

// Of a *draft* that is forgotten; null: of any.
function emptyBox(draft) {
  const box = document.querySelector(BOX);
  if (box?.value && (draft === null || box.value === draft)) fill(box, "");
}

// Streamlit shows the end of a page with a question's box; before the first question its beginning says more.
function beginAtTop(signal) {
  holdView(() => (document.querySelector(".st-key-beginning") ? 0 : null), signal);
}

// The start of the newest message, where it is longer than the window, or what follows it is.
function showNewest() {
  const header = document.querySelector('[data-testid="stHeader"]');
  const find = () => {
    const main = document.querySelector(".stMain");
    const newest = [...document.querySelectorAll('[data-testid="stChatMessage"]')].at(-1);
    if (!main || !newest || document.querySelector(".st-key-stop")) return null;
    const start = main.scrollTop + newest.getBoundingClientRect().top - (header?.getBoundingClientRect().bottom ?? 0);
    return Math.max(0, Math.min(Math.floor(start), main.scrollHeight - main.clientHeight));
  };
  holdView(find, AbortSignal.timeout(HELD_MS));
}

// Keeps the page where *find* tells, until the visitor moves it or asks something, or *signal* ends it.
function holdView(find, signal) {
  const main = document.querySelector(".stMain");
  if (!main) return;
  held?.abort();
  const isOver = (held = new AbortController());
  signal.addEventListener("abort", () => isOver.abort());
  const options = { passive: true, signal: isOver.signal };
  for (const kind of MOVES) document.addEventListener(kind, (event) => movesPage(event) && isOver.abort(), options);
  const stay = () => {
    const place = find();
    if (place !== null && Math.abs(main.scrollTop - place) > 1) main.scrollTop = place;
  };
  main.addEventListener("scroll", stay, options);
  // Something may be drawn after the scroll.
  const observer = new MutationObserver(stay);
  observer.observe(main, { childList: true, subtree: true });
  isOver.signal.addEventListener("abort", () => observer.disconnect());
  stay();
}

// What is done around the box moves nothing.
function movesPage(event) {
  return !event.target.closest?.('[data-testid="stBottom"]');
}

// Whether the visitor reads elsewhere than at the end of what comes.
function noteMoves(signal) {
  const note = (event) => movesPage(event) && (hasMoved = true);
  for (const kind of MOVES) document.addEventListener(kind, note, { capture: true, passive: true, signal });
}

function listAnswers() {
  return document.querySelectorAll('[aria-label="Chat message from assistant"]');
}

// Streamlit leaves the focus on what closes the window.
function enterWindow() {
  const field = document.querySelector('[role="dialog"] input[type="text"]:not([data-entered])');
  if (!field) return;
  field.dataset.entered = "";
  field.focus();
}

function nameParts(names) {
  for (const [selector, name] of Object.entries(names)) {
    for (const part of document.querySelectorAll(selector)) {
      if (part.ariaLabel !== name) part.ariaLabel = name;
      if (part.matches("a") && part.textContent !== name) part.textContent = name;
    }
  }
}

// For programs that read aloud: an answer is told once it is whole, and quotes say in which language they are.
function watchMessages(signal, names) {
  const told = Object.assign(document.createElement("div"), { className: "pustaka-told", role: "status" });
  // Closed, so that what is searched for in the page is not found in it a second time.
  const text = told.attachShadow({ mode: "closed" }).appendChild(document.createElement("p"));
  document.body.append(told);
  let waits = false;
  const look = () => {
    waits = false;
    enterWindow();
    nameParts(names);
    const box = document.querySelector(`${BOX}:not([dir])`);
    if (box) box.dir = "auto"; // Arabic begins at the right
    for (const quote of document.querySelectorAll('[class*="st-key-lang-"]:not([lang])')) {
      quote.lang = /st-key-lang-([a-z]+)-/.exec(quote.className)?.[1] ?? "";
    }
    const answers = listAnswers();
    const said = answers[answers.length - 1]?.querySelector('[data-testid="stMarkdown"]')?.innerText.trimEnd();
    if (answers.length !== seen + 1 || !said || /[▌…]$/.test(said)) return;
    seen = null;
    text.textContent = said;
    if (!hasMoved) showNewest();
  };
  const observer = new MutationObserver(() => {
    if (!waits) requestAnimationFrame(look);
    waits = true;
  });
  observer.observe(document.body, { childList: true, subtree: true, characterData: true });
  signal.addEventListener("abort", () => {
    observer.disconnect();
    told.remove();
  });
  look();
}

// Says so while the page has lost its server; a moment without it, as after a phone slept, is not worth a word. Streamlit
// sees it when its socket is closed, which a network that is gone does not do: while an answer comes the server is asked.
function watchConnection(signal, told, onBack) {
  const app = document.querySelector('[data-testid="stApp"]');
  const notice = Object.assign(document.createElement("div"), { className: "pustaka-lost", role: "status" });
  notice.textContent = told;
  let late;
  let isSilent = false;
  const look = () => {
    const isThere = app?.dataset.testConnectionState === "CONNECTED" && navigator.onLine && !isSilent;
    if (isThere) {
      if (late && !document.querySelector(".st-key-stop")) onBack();
      clearTimeout(late);
      late = null;
      notice.remove();
    } else late ??= setTimeout(() => document.body.append(notice), LOST_AFTER_MS);
  };
  const ask = async () => {
    if (!isSilent && !document.querySelector(".st-key-stop")) return;
    const options = { cache: "no-store", method: "HEAD", signal: AbortSignal.timeout(ASKED_EVERY_MS) };
    isSilent = await fetch("_stcore/health", options).then(() => false, () => true);
    if (!signal.aborted) look();
  };
  const clock = setInterval(ask, ASKED_EVERY_MS);
  const observer = new MutationObserver(look);
  if (app) observer.observe(app, { attributeFilter: ["data-test-connection-state"] });
  for (const change of ["offline", "online"]) addEventListener(change, look, { signal });
  signal.addEventListener("abort", () => {
    observer.disconnect();
    clearInterval(clock);
    clearTimeout(late);
    notice.remove();
  });
  look();
}

// The answer may be there a moment before its sources, and Streamlit may draw them once more, closed.
function openSource(name) {
  const wish = (wanted = {});
  const until = performance.now() + SOUGHT_FOR_MS;
  let opened = null;
  const look = () => {
    const source = document.querySelector(`.st-key-${CSS.escape(name)} details`);
    if (wanted !== wish) return;
    if (source && source !== opened && !opensAround(source)) {
      showSource(source);
      opened = source;
    }
    if (performance.now() < until) setTimeout(look, 100);
  };
  look();
}

// On paper the quotes are read that the sources open to.
function openForPrint(signal) {
  const sources = ':is([class*="st-key-source-"], [class*="st-key-more-sources-"]) details:not([open])';
  let opened = [];
  const turn = (isOpen) => opened.forEach((source) => (source.open = isOpen));
  const open = () => {
    opened = [...document.querySelectorAll(sources)];
    turn(true);
  };
  addEventListener("beforeprint", open, { signal });
  addEventListener("afterprint", () => turn(false), { signal });
}

// Whether it had to open what stands around a source, which can have the focus a moment later.
function opensAround(source) {
  const around = source.parentElement.closest("details");
  if (!around || around.open) return false;
  around.querySelector("summary").click();
  return true;
}

function showSource(source) {
  const line = source.querySelector("summary");
  if (!source.open) line.click();
  line.focus({ preventScroll: true });
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  line.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
}
