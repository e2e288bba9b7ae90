// A button to speak a question with: it records while it is held; a tap begins, and another one ends. The recording goes to Python over
// the page's own socket, as files do. Streamlit calls this again whenever its data change.
const TAP_MS = 400; // held for less, it was tapped
const LONGEST_MS = 300_000;
const ICON = "M8 1.5a2 2 0 0 1 2 2v4a2 2 0 0 1-4 0v-4a2 2 0 0 1 2-2zM3.5 7.5a4.5 4.5 0 0 0 9 0M8 12v2.5";

export default function ({ data, parentElement, setTriggerValue }) {
  const known = parentElement.querySelector("button");
  if (known || !navigator.mediaDevices || !window.MediaRecorder) return known?.change(data);
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.innerHTML = '<svg viewBox="0 0 16 16" aria-hidden="true"><path/></svg><span></span>';
  button.querySelector("path").setAttribute("d", ICON);
  const told = Object.assign(document.createElement("span"), { role: "status" });
  parentElement.append(button, told);
  const label = button.querySelector("span");
  let recording = null;
  let pressedAt = 0;

  const show = (isOn) => {
    button.ariaPressed = String(isOn);
    button.title = data.help;
    label.textContent = isOn ? data.recording : data.label;
  };
  const begin = async () => {
    told.textContent = "";
    const mine = (recording = {});
    try {
      await record(mine, () => show(true));
    } catch {
      recording = null;
      show(false);
      told.textContent = data.denied;
      return;
    }
    const sound = await mine.sound;
    if (recording === mine) recording = null;
    show(false);
    if (mine.isLeft || !sound.size) return;
    setTriggerValue("spoken", sound.size > data.mostBytes ? "" : await encode(sound));
  };
  const end = () => recording?.end?.() ?? (recording && (recording.isOver = true));
  const leave = () => {
    if (recording) recording.isLeft = true;
    end();
  };
  const press = () => {
    pressedAt = recording ? 0 : performance.now();
    if (recording) end();
    else begin();
  };
  const release = () => {
    if (recording && pressedAt && performance.now() - pressedAt >= TAP_MS) end();
  };

  show(false);
  button.change = (other) => {
    data = other; // the language may be another one
    show(button.ariaPressed === "true");
  };
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    press();
  });
  button.addEventListener("pointerup", release);
  button.addEventListener("pointercancel", leave);
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // of a long touch
  button.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave();
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) press();
  });
  button.addEventListener("keyup", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    release();
  });
  button.addEventListener("click", (event) => event.detail === 0 && press()); // of programs that read aloud
  return leave;
}

// Records until `end` is called, and no longer than LONGEST_MS; `sound` is what there is then.
async function record(mine, begun) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const close = () => stream.getTracks().forEach((track) => track.stop());
  try {
    const recorder = new MediaRecorder(stream, { audioBitsPerSecond: 32_000 });
    const parts = [];
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    mine.sound = new Promise((resolve) => recorder.addEventListener("stop", () => resolve(new Blob(parts)))).finally(close);
    recorder.start();
    mine.end = () => recorder.state !== "inactive" && recorder.stop();
  } catch (error) {
    close();
    throw error;
  }
  setTimeout(mine.end, LONGEST_MS);
  if (mine.isOver) mine.isLeft = true; // released before the microphone was there: nothing was said
  if (mine.isLeft) mine.end();
  else begun();
}
