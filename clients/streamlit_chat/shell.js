// Lets questions be typed before Streamlit's scripts have come. When the page below is drawn the shell goes, and its box
// gets what was typed here; what was sent here is sent there, once.
(() => {
  const BOX = '[data-testid="stChatInputTextArea"]';
  const STILL_MS = 1000; // a page of which nothing more comes for that long is drawn
  const PATIENCE_MS = 5000; // then the page has no box, or none that works
  const LATE_MS = 30_000; // then it may never come, as where its socket is blocked
  const LOOKS_MS = 250;
  const TRIES_MS = 3000; // a busy page takes a question late, and may not be sent it twice
  const shell = document.getElementById("pustaka-shell");
  const page = document.getElementById("root");
  const own = shell.querySelector("textarea"); // none where visitors have to sign in first
  const asked = shell.querySelector(".asked");
  const note = shell.querySelector(".note");
  const draft = `pustaka.conversations${location.pathname}.draft#${findConversation()}`; // as page.js calls it
  let sent = ""; // not handed over yet
  let isComposing = false;
  let drawnSince = null;
  let triedAt = -Infinity;

  page.inert = true;
  const observer = new MutationObserver(look);
  observer.observe(page, { attributes: true, childList: true, subtree: true });
  const clock = setInterval(look, LOOKS_MS);
  const late = setTimeout(offerReload, LATE_MS);
  if (own) prepare();

  function prepare() {
    own.value = readDraft();
    if (matchMedia("(hover: hover)").matches) own.focus({ preventScroll: true }); // a phone would open its keyboard
    own.addEventListener("input", () => {
      keepDraft(own.value);
      note.textContent = sent && note.dataset.sent;
    });
    document.addEventListener("pustaka-forgotten", ({ detail }) => {
      if (detail === null || detail === own.value) own.value = ""; // its conversation is no more
    });
    own.addEventListener("compositionstart", () => (isComposing = true));
    own.addEventListener("compositionend", () => (isComposing = false));
    own.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      send();
    });
    own.form.addEventListener("submit", (event) => {
      event.preventDefault();
      send();
    });
  }

  // A second one stays in the box until the first is on its way.
  function send() {
    const question = own.value.trim();
    if (!question || sent) return;
    const { longest } = own.dataset;
    const count = [...question].length; // as box.js counts
    if (count > longest) {
      note.textContent = note.dataset.long.replace("{count}", count).replace("{most}", longest);
      return;
    }
    sent = asked.textContent = question;
    own.value = "";
    asked.hidden = false;
    note.textContent = note.dataset.sent;
  }

  // The page is still waited for. What was asked is a draft, which the next one begins with.
  function offerReload() {
    const place = shell.querySelector(".late");
    place.append(shell.querySelector("template").content);
    place.querySelector("button").addEventListener("click", () => location.reload());
    shell.classList.add("is-late");
  }

  function look() {
    const main = page.querySelector(".stMain");
    if (!main?.querySelector('h1, [data-testid="stAlert"], [data-testid="stException"]')) return;
    drawnSince ??= performance.now();
    const waited_ms = performance.now() - drawnSince;
    const box = page.querySelector(BOX);
    const isDrawn = isStill() || main.querySelector('[data-testid="stChatMessage"]') || waited_ms > STILL_MS;
    // page.js keeps drafts and tells of answers: it has to be there before something is sent.
    const isReady = !own || (box && !box.disabled && document.querySelector(".pustaka-told"));
    if (isComposing || !isDrawn || !(isReady || waited_ms > PATIENCE_MS)) return;
    if (sent && box && !handOver(box)) return;
    leave(box);
  }

  function isStill() {
    return page.querySelector('[data-testid="stApp"]')?.dataset.testScriptState === "notRunning";
  }

  // Whether the page has taken it: then its box is empty, and the question is shown.
  function handOver(box) {
    if (triedAt > 0 && !box.value) {
      sent = "";
      keepDraft("");
    } else if (performance.now() - triedAt > TRIES_MS) {
      putIntoBox(sent);
      if (box.value !== sent) return false; // it takes nothing now: empty does not mean that it has sent it
      triedAt = performance.now();
      setTimeout(() => box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true })));
    }
    return !sent;
  }

  function leave(box) {
    const hasFocus = own && document.activeElement === own;
    const { value = "", selectionStart, selectionEnd } = own ?? {};
    observer.disconnect();
    clearInterval(clock);
    clearTimeout(late);
    page.inert = false;
    if (box && value) putIntoBox(value);
    shell.remove();
    if (!box || !hasFocus) return;
    box.focus({ preventScroll: true });
    if (value) box.setSelectionRange(selectionStart, selectionEnd);
  }

  function putIntoBox(text) {
    document.dispatchEvent(new CustomEvent("pustaka-question", { detail: text })); // page.js has the box
  }

  function findConversation() {
    return new URLSearchParams(location.search).get("c") ?? "";
  }

  function keepDraft(text) {
    if (shell.dataset.drafts !== "kept") return;
    try {
      if (text) sessionStorage.setItem(draft, text);
      else sessionStorage.removeItem(draft);
    } catch {
      // Full, or closed: then it is not kept.
    }
  }

  function readDraft() {
    try {
      return (shell.dataset.drafts === "kept" && sessionStorage.getItem(draft)) || "";
    } catch {
      return "";
    }
  }
})();
