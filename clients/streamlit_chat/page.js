// Marks in answers open their sources, and Python learns of "Stop". Streamlit calls this again whenever its data change.
const listening = new WeakMap();
const LOST_AFTER_MS = 2000;

export default function ({ parentElement, setTriggerValue }) {
  listening.get(parentElement)?.abort();
  const controller = new AbortController();
  listening.set(parentElement, controller);
  const onClick = (event) => {
    const mark = event.target.closest?.('a[href^="#source-"]');
    if (mark && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
      event.preventDefault();
      openSource(mark.hash.slice(1));
    } else if (event.target.closest?.('[data-testid="stChatInputStopButton"]')) {
      setTimeout(() => setTriggerValue("stopped", true)); // after Streamlit's own request to stop
    }
  };
  // Before Streamlit hears of it: it makes the pressed button another one at once.
  document.addEventListener("click", onClick, { capture: true, signal: controller.signal });
  watchConnection(controller.signal);
  return () => controller.abort();
}

// Says so while the page has lost its server; a moment without it, as after a phone slept, is not worth a word.
function watchConnection(signal) {
  const app = document.querySelector('[data-testid="stApp"]');
  const notice = Object.assign(document.createElement("div"), { className: "pustaka-lost", role: "status" });
  notice.textContent = "The connection is lost. The page goes on by itself when it is back.";
  let late;
  const look = () => {
    clearTimeout(late);
    if (app?.dataset.testConnectionState === "CONNECTED") notice.remove();
    else late = setTimeout(() => document.body.append(notice), LOST_AFTER_MS);
  };
  const observer = new MutationObserver(look);
  if (app) observer.observe(app, { attributeFilter: ["data-test-connection-state"] });
  signal.addEventListener("abort", () => {
    observer.disconnect();
    clearTimeout(late);
    notice.remove();
  });
  look();
}

function openSource(name) {
  const source = document.querySelector(`.st-key-${CSS.escape(name)} details`);
  const line = source?.querySelector("summary");
  if (!line) return;
  if (!source.open) line.click();
  line.focus({ preventScroll: true });
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  line.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
}
