// Where files are chosen, or dropped, that become documents. They go to Python over the page's own socket, piece by piece: each time
// Streamlit calls this with the piece that Python wants next.
const chosen = new Map(); // files that wait to be sent, by their id
const page = Date.now().toString(36);
let count = 0;
let answered = "";

export default function ({ data, parentElement, setTriggerValue }) {
  const label = parentElement.querySelector("label") ?? make(parentElement, setTriggerValue);
  label.querySelector("span").textContent = data.label;
  const told = parentElement.querySelector("[role=status]");
  if (told.textContent !== data.told) told.textContent = data.told;
  if (data.wanted) answer(data.wanted, setTriggerValue);
}

// The input lies over the whole label, so that files can be dropped on it.
function make(parent, setTriggerValue) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "file", multiple: true });
  label.append(document.createElement("span"), input);
  for (const kind of ["dragenter", "dragover"]) input.addEventListener(kind, () => label.classList.add("over"));
  for (const kind of ["dragleave", "drop"]) input.addEventListener(kind, () => label.classList.remove("over"));
  input.addEventListener("change", () => {
    const told = [...input.files].map((file) => {
      const id = `${page}-${count++}`;
      chosen.set(id, file);
      return { id, name: file.name, size: file.size };
    });
    input.value = "";
    if (told.length) setTriggerValue("chosen", told);
  });
  parent.append(label, Object.assign(document.createElement("p"), { role: "status" }));
  return label;
}

// A piece that is asked for again, since it did not arrive, has another `vain`.
async function answer(wanted, setTriggerValue) {
  const name = JSON.stringify(wanted);
  if (name === answered) return;
  answered = name;
  const { id, from, bytes } = wanted;
  const piece = chosen.get(id)?.slice(from, from + bytes);
  if (piece) setTriggerValue("piece", { id, from, data: await encode(piece) });
}
