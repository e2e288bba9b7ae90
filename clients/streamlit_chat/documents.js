// Where files are chosen, or dropped, that become documents. They go to Python over the page's own socket, piece by piece: each time
// Streamlit calls this with the piece that Python wants next.
// They outlive this script, which Streamlit may load again where it is drawn in another place.
const chosen = (globalThis.pustakaChosenFiles ??= new Map()); // files that wait to be sent, by their id
const page = Date.now().toString(36);
let count = 0;
let answered = "";
let sending = ""; // the file of the last piece

export default function ({ data, parentElement, setTriggerValue }) {
  const label = parentElement.querySelector("label") ?? make(parentElement, setTriggerValue);
  label.querySelector("span").textContent = data.label;
  label.style.display = data.label ? "" : "none";
  const status = parentElement.querySelector("[role=status]");
  if (status.textContent !== data.announcement) status.textContent = data.announcement;
  if (data.wanted) answer(data.wanted, setTriggerValue);
}

// The input lies over the whole label, so that files can be dropped on it.
function make(parent, setTriggerValue) {
  answered = ""; // a piece that was sent from where it stood before may not have arrived
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "file", multiple: true });
  label.append(document.createElement("span"), input);
  for (const kind of ["dragenter", "dragover"]) input.addEventListener(kind, () => label.classList.add("over"));
  for (const kind of ["dragleave", "drop"]) input.addEventListener(kind, () => label.classList.remove("over"));
  input.addEventListener("change", () => {
    const files = [...input.files].map((file) => {
      const id = `${page}-${count++}`;
      chosen.set(id, file);
      return { id, name: file.name, size: file.size };
    });
    input.value = "";
    if (files.length) setTriggerValue("chosen", files);
  });
  parent.append(label, Object.assign(document.createElement("p"), { role: "status" }));
  return label;
}

// A piece that is asked for again, since it did not arrive, has another `repeats`.
async function answer(wanted, setTriggerValue) {
  const name = JSON.stringify(wanted);
  if (name === answered) return;
  answered = name;
  const { id, from, bytes } = wanted;
  if (id !== sending) chosen.delete(sending);
  sending = id;
  const piece = chosen.get(id)?.slice(from, from + bytes);
  if (piece) setTriggerValue("piece", { id, from, data: await encode(piece) });
}
