// Buttons that work in the browser: copy an answer, put a question into the box to change it, ask it again, print. Streamlit calls this again
// whenever its data change.
const SHOWN_MS = 2500;
const ICONS = {
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  edit: "M3 13l1-3 7-7 2 2-7 7z",
  previous: "M10 3L5 8l5 5",
  next: "M6 3l5 5-5 5",
  retry: "M13 8a5 5 0 1 1-1.5-3.6M13 2v3h-3",
  done: "M3 8.5l3.5 3.5L13 5",
};

export default function ({ data, parentElement, setTriggerValue }) {
  const wanted = JSON.stringify(data);
  let row = parentElement.querySelector(".row");
  if (row?.dataset.shown === wanted) return;
  const focused = row?.querySelector("button:focus")?.dataset.name;
  row?.remove();
  row = Object.assign(document.createElement("div"), { className: "row" });
  row.dataset.shown = wanted;
  if (data.copy) row.append(makeCopyButton(data.copy));
  if (data.edit) row.append(makeButton("edit", data.edit.label, () => edit(data.edit.text, setTriggerValue)));
  if (data.versions) row.append(makeVersions(data.versions, setTriggerValue));
  if (data.retry) row.append(makeButton("retry", data.retry.label, () => setTriggerValue("retried", true)));
  if (data.print) row.append(makePrintButton(data.print.label));
  parentElement.append(row);
  if (focused) row.querySelector(`[data-name="${focused}"]`)?.focus(); // of the version before, which stood here
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
    const parts = { "text/plain": text, "text/html": html };
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
