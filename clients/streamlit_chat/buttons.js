// The buttons of a message: rate an answer, copy it, hear it, see what it rests on, put a question into the box to change it, ask it
// again, print. An element with a style of its own, as a script that comes with each message would be read anew for each.
const STYLE = new CSSStyleSheet();
const SHOWN_MS = 2500;
const ICONS = {
  up: "M4.5 7.5v6h-2v-6zM4.5 7.5l2.5-5.5c1 0 1.7.7 1.7 1.7V6h3.4a1.3 1.3 0 0 1 1.3 1.5l-.8 4.7a1.3 1.3 0 0 1-1.3 1.3h-7",
  down: "M4.5 8.5v-6h-2v6zM4.5 8.5l2.5 5.5c1 0 1.7-.7 1.7-1.7V10h3.4a1.3 1.3 0 0 0 1.3-1.5l-.8-4.7a1.3 1.3 0 0 0-1.3-1.3h-7",
  trace: "M1.5 8s2.5-4.5 6.5-4.5S14.5 8 14.5 8s-2.5 4.5-6.5 4.5S1.5 8 1.5 8zM8 6a2 2 0 1 1 0 4 2 2 0 0 1 0-4",
  listen: "M2.5 6H5l3-2.5v9L5 10H2.5zM10.5 6a3 3 0 0 1 0 4M12.3 4a6 6 0 0 1 0 8",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  edit: "M3 13l1-3 7-7 2 2-7 7z",
  previous: "M10 3L5 8l5 5",
  next: "M6 3l5 5-5 5",
  retry: "M13 8a5 5 0 1 1-1.5-3.6M13 2v3h-3",
  done: "M3 8.5l3.5 3.5L13 5",
};

export default function ({ data }) {
  STYLE.replaceSync(data.style);
  if (!customElements.get("pustaka-buttons")) customElements.define("pustaka-buttons", MessageButtons);
}

class MessageButtons extends HTMLElement {
  constructor() {
    super();
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = [STYLE];
  }

  show(data, setTriggerValue) {
    const wanted = JSON.stringify(data);
    if (this.shown === wanted) return;
    this.shown = wanted;
    const focused = this.shadowRoot.querySelector("button:focus")?.dataset.name;
    const parts = [];
    if (data.thumbs) parts.push(makeThumbs(data.thumbs, setTriggerValue));
    if (data.copy) parts.push(makeCopyButton(data.copy));
    if (data.edit) parts.push(makeButton("edit", data.edit.label, () => edit(data.edit.text, setTriggerValue)));
    if (data.versions) parts.push(makeVersions(data.versions, setTriggerValue));
    if (data.retry) parts.push(makeButton("retry", data.retry.label, () => setTriggerValue("retried", true)));
    if (data.listen) parts.push(makeNamedButton("listen", data.listen.label, () => setTriggerValue("listened", true)));
    if (data.trace) parts.push(makeNamedButton("trace", data.trace.label, () => setTriggerValue("traced", true)));
    if (data.print) parts.push(makePrintButton(data.print.label));
    this.shadowRoot.replaceChildren(...parts);
    if (focused) this.shadowRoot.querySelector(`[data-name="${focused}"]`)?.focus(); // of the version before, which stood here
  }
}

// One that is pressed again takes the rating back. It is shown at once; where it is not kept, the data change.
function makeThumbs({ label, up, down, chosen }, setTriggerValue) {
  const group = Object.assign(document.createElement("span"), { role: "group", ariaLabel: label });
  const thumbs = Object.entries({ up, down }).map(([name, said]) => makeButton(name, said, () => press(name)));
  const show = () => thumbs.forEach((thumb) => thumb.setAttribute("aria-pressed", thumb.dataset.name === chosen));
  const press = (name) => {
    chosen = chosen === name ? "" : name;
    show();
    setTriggerValue("rated", chosen || "none");
  };
  show();
  group.append(...thumbs);
  return group;
}

function edit(text, setTriggerValue) {
  putIntoBox(text);
  setTriggerValue("edited", true);
}

// "‹ 2/3 ›". At an end a button stays, and the focus in it.
function makeVersions({ previous, next, said, text, back, on }, setTriggerValue) {
  const group = Object.assign(document.createElement("span"), { role: "group", ariaLabel: said, className: "versions" });
  const shown = Object.assign(document.createElement("span"), { role: "status", textContent: text, ariaLabel: said });
  const step = (name, label, isOpen, by) => {
    const button = makeButton(name, label, () => isOpen && setTriggerValue("moved", by));
    button.ariaDisabled = String(!isOpen);
    return button;
  };
  group.append(step("previous", previous, back, -1), shown, step("next", next, on, 1));
  return group;
}

// What browsers print they also save as PDF.
function makePrintButton(label) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "wide" });
  button.textContent = label;
  button.addEventListener("click", () => print());
  return button;
}

function makeButton(name, label, onClick) {
  const button = Object.assign(document.createElement("button"), { type: "button", title: label, ariaLabel: label });
  button.innerHTML = '<svg viewBox="0 0 16 16" aria-hidden="true"><path/></svg>';
  setIcon(button, name);
  button.dataset.name = name;
  button.addEventListener("click", onClick);
  return button;
}

function makeNamedButton(name, label, onClick) {
  const button = makeButton(name, label, onClick);
  button.classList.add("named");
  button.append(label);
  return button;
}

function setIcon(button, name) {
  button.querySelector("path").setAttribute("d", ICONS[name]);
}

function makeCopyButton({ label, done, text, html }) {
  const told = Object.assign(document.createElement("span"), { role: "status" });
  const button = makeButton("copy", label, async () => {
    if (!(await copy(text, html))) return;
    setIcon(button, "done");
    told.textContent = done;
    setTimeout(() => {
      setIcon(button, "copy");
      told.textContent = "";
    }, SHOWN_MS);
  });
  const both = document.createElement("span");
  both.append(button, told);
  return both;
}

// Formatted and plain, so that letters and editors each take what they can. Without TLS there is no clipboard of that kind.
async function copy(text, html) {
  try {
    const parts = { "text/plain": text, ...(html && { "text/html": html }) };
    const blobs = Object.entries(parts).map(([type, part]) => [type, new Blob([part], { type })]);
    await navigator.clipboard.write([new ClipboardItem(Object.fromEntries(blobs))]);
    return true;
  } catch {
    return copyPlain(text);
  }
}

function copyPlain(text) {
  const area = Object.assign(document.createElement("textarea"), { value: text });
  area.style.cssText = "position: fixed; opacity: 0";
  const before = document.activeElement;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  before?.focus();
  return isCopied;
}

// page.js has the box.
function putIntoBox(text) {
  document.dispatchEvent(new CustomEvent("pustaka-question", { detail: text }));
}
