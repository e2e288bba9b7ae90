// What Streamlit's box for questions lacks: it says when there is too much in it and sends none of it, where with a limit of its own
// it would drop what is pasted without a word; and it sends nothing while another question waits. Streamlit calls this again whenever its data change.
const BOX = '[data-testid="stChatInputTextArea"]';
const SUBMIT = '[data-testid="stChatInputSubmitButton"]';
const listening = new WeakMap();

export default function ({ data, parentElement }) {
  listening.get(parentElement)?.abort();
  const controller = new AbortController();
  listening.set(parentElement, controller);
  const options = { capture: true, signal: controller.signal };
  const notice = Object.assign(document.createElement("div"), { className: "pustaka-long", role: "status" });
  document.body.append(notice); // empty, so that programs that read aloud tell of a change
  const growth = new ResizeObserver(() => look());
  controller.signal.addEventListener("abort", () => {
    growth.disconnect();
    notice.remove();
  });
  const look = () => {
    const box = document.querySelector(BOX);
    if (box) growth.observe(box); // again and again, since Streamlit draws another one now and then
    tell(notice, isTooLong(box, data) ? data.tooLong.replace("{count}", count(box)) : "");
  };
  const refuse = (event) => {
    const waits = document.querySelector(".st-key-waiting"); // one does, and no second one
    if (!isSending(event) || !(waits || isTooLong(document.querySelector(BOX), data))) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    look();
    if (!notice.textContent) tell(notice, data.waits);
  };
  // The window hears of it before page.js and Streamlit do.
  addEventListener("keydown", refuse, options);
  addEventListener("click", refuse, options);
  addEventListener("input", (event) => event.target.matches?.(BOX) && look(), options);
  addEventListener("resize", look, options);
  look();
  return () => controller.abort();
}

function isSending(event) {
  if (event.type === "click") return Boolean(event.target.closest?.(SUBMIT));
  return event.target.matches?.(BOX) && event.key === "Enter" && !event.shiftKey && !event.isComposing;
}

// As the service counts: a sign outside of the first 65,536 is one.
function count(box) {
  return [...(box?.value.trim() ?? "")].length;
}

function isTooLong(box, { longest }) {
  return count(box) > longest;
}

// Above what stands above the box, so that it covers nothing.
function tell(notice, text) {
  const place = document.querySelector('[data-testid="stBottomBlockContainer"]');
  if (place && notice.parentElement !== place) place.prepend(notice);
  notice.textContent = text;
}
