// A button that lets the visitor choose a file, which goes to Python over the page's own socket: nothing else of the page's server
// takes files. Streamlit calls this again whenever its data change.
export default function ({ data, parentElement, setTriggerValue }) {
  parentElement.querySelector("label")?.remove();
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "file" });
  label.append(data.label, input);
  parentElement.append(label);
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    input.disabled = true;
    const told = { name: file.name, data: file.size > data.mostBytes ? null : await encode(file) };
    setTriggerValue("attached", told);
    input.value = "";
    input.disabled = false;
  });
}
