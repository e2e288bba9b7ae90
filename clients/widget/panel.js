// What is seen: a round button, and the dialog it opens, in a shadow tree of their own.

const NARROW = "(max-width: 480px)";
const LONGEST_MESSAGE = 5000;
const SHAPES = {
  chat: "M4 4h16v12H9l-5 4z",
  close: "M6 6l12 12M18 6L6 18",
  send: "M4 12h14M12 5l7 7-7 7",
  stop: "M7 7h10v10H7z",
  attach: "M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.3 3.3 0 0 1 4.7 4.7L9.2 17a1.7 1.7 0 0 1-2.4-2.4L14 7.5",
  anew: "M12 5v14M5 12h14",
  up: "M7 11v9H4v-9zM7 11l4-8c1.5 0 2.5 1 2.5 2.5V9h5a2 2 0 0 1 2 2.3l-1.2 7A2 2 0 0 1 17.3 20H7",
  down: "M7 13V4H4v9zM7 13l4 8c1.5 0 2.5-1 2.5-2.5V15h5a2 2 0 0 0 2-2.3l-1.2-7A2 2 0 0 0 17.3 4H7",
};

function makeIcon(name) {
  return makeShape("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, makeShape("path", { d: SHAPES[name] }));
}

class Panel {
  /** `on`: what becomes of a question (`ask`), of the buttons (`stop`, `anew`, `open`), and of `files`. */
  constructor(texts, options, on) {
    Object.assign(this, { texts, options, on, isAnswering: false });
    this.host = callDocument("createElement", "pustaka-chat");
    const root = this.host.attachShadow({ mode: "open" });
    this.addStyles(root);
    this.makeDialog();
    this.bubble = options.page ? null : this.makeButton("chat", texts.open_chat, () => (this.isOpen ? this.close() : this.open()), "bubble");
    this.bubble?.setAttribute("aria-expanded", "false");
    this.frame = make("div", { class: "frame", lang: options.language, "data-theme": options.theme, "data-position": options.position, "data-page": Boolean(options.page) }, this.dialog, ...(this.bubble ? [this.bubble] : []));
    root.append(this.frame);
    if (options.colour) this.paint(options.colour);
  }

  get isOpen() {
    return !this.dialog.hidden;
  }

  addStyles(root) {
    try {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLES);
      root.adoptedStyleSheets = [sheet];
    } catch {
      root.append(make("link", { rel: "stylesheet", href: `${this.options.base}widget.css` }));
    }
  }

  paint(colour) {
    const pen = callDocument("createElement", "canvas").getContext("2d");
    pen.fillStyle = colour;
    const [red, green, blue] = (/^#(..)(..)(..)$/.exec(pen.fillStyle) || [0, "1a", "5f", "b4"]).slice(1).map((hex) => (parseInt(hex, 16) / 255) ** 2.2);
    this.frame.style.setProperty("--accent", pen.fillStyle);
    this.frame.style.setProperty("--on-accent", 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "#000" : "#fff");
  }

  makeButton(icon, label, onclick, kind) {
    return make("button", { type: "button", class: kind, "aria-label": label, title: label, onclick }, makeIcon(icon));
  }

  makeDialog() {
    const { texts, options, on } = this;
    this.title = make("h2", { id: "title" }, options.title || texts.title);
    const buttons = [this.makeButton("anew", texts.new_chat, () => on.anew(), "plain"), ...(options.page ? [] : [this.makeButton("close", texts.close_chat, () => this.close(), "plain")])];
    this.log = make("div", { class: "log", tabindex: "0", role: "region", "aria-labelledby": "title" });
    this.status = make("p", { class: "status", role: "status" });
    this.said = make("div", { class: "hidden", role: "log", "aria-live": "polite" });
    this.input = make("textarea", { rows: "1", dir: "auto", maxlength: LONGEST_MESSAGE, placeholder: texts.ask, "aria-label": texts.ask, enterkeyhint: "send", oninput: () => this.grow(), onkeydown: (event) => this.pressInBox(event) });
    this.button = this.makeButton("send", texts.send, () => this.press(), "send");
    this.files = new Files(texts, options.language, on.files);
    const form = make("form", { onsubmit: (event) => event.preventDefault() }, this.files.button, this.files.input, this.input, this.button);
    this.dialog = make("section", { role: options.page ? "main" : "dialog", "aria-labelledby": "title", class: "dialog", hidden: !options.page, onkeydown: (event) => this.pressInDialog(event) }, make("header", {}, this.title, ...buttons), this.log, this.status, this.files.element, form, this.said, this.files.said);
    this.files.listen(this.dialog, this.input);
  }

  open({ takesFocus = true } = {}) {
    this.dialog.hidden = false;
    this.labelBubble(this.texts.close_chat);
    this.dialog.toggleAttribute("data-modal", this.isModal);
    if (this.isModal) this.dialog.setAttribute("aria-modal", "true");
    if (takesFocus) this.input.focus();
    this.on.open();
  }

  close() {
    this.dialog.hidden = true;
    this.labelBubble(this.texts.open_chat);
    this.bubble.focus();
    this.on.close();
  }

  labelBubble(label) {
    const said = { "aria-expanded": this.isOpen, "aria-label": label, title: label };
    for (const [name, value] of Object.entries(said)) this.bubble?.setAttribute(name, value);
  }

  get isModal() {
    return !this.options.page && matchMedia(NARROW).matches;
  }

  pressInDialog(event) {
    event.stopPropagation(); // keys that mean something to the page around it
    if (event.key === "Escape" && this.bubble) this.close();
    if (event.key !== "Tab" || !this.isModal) return;
    const places = [...this.dialog.querySelectorAll("button, a, textarea, summary, [tabindex='0']")].filter((each) => !each.disabled && each.getClientRects().length);
    const [from, to] = event.shiftKey ? [places[0], places.at(-1)] : [places.at(-1), places[0]];
    if (this.host.shadowRoot.activeElement === from) event.preventDefault(), to.focus();
  }

  pressInBox(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!this.isAnswering) this.press();
  }

  press() {
    if (this.isAnswering) return this.on.stop();
    const question = this.input.value.trim();
    if (this.isHeldUp()) return;
    if (!question) return this.input.focus();
    this.input.value = "";
    this.grow();
    this.on.ask(question);
  }

  /** Whether a file is still on its way, which the next answer is to rest on; says so. */
  isHeldUp() {
    if (this.files.isSending) this.tell(this.texts.files_wait);
    return this.files.isSending;
  }

  release() {
    if (!this.files.isSending && this.status.textContent === this.texts.files_wait) this.tell("");
  }

  grow() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight + 2, 140)}px`;
  }

  /** Whether an answer comes now: the button to send stops it then. */
  setAnswering(isAnswering) {
    this.isAnswering = isAnswering;
    const [icon, label] = isAnswering ? ["stop", this.texts.stop] : ["send", this.texts.send];
    this.button.replaceChildren(makeIcon(icon));
    this.button.setAttribute("aria-label", label);
    this.button.title = label;
  }

  /** Show a line about the connection; "" takes it away. */
  tell(text) {
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  /** Have a screen reader say something. */
  announce(text) {
    this.said.append(make("p", {}, text));
    while (this.said.children.length > 2) this.said.firstChild.remove();
  }

  showWelcome(lines, questions) {
    const choices = questions.map((each) => make("button", { type: "button", class: "choice", dir: "auto", onclick: () => this.on.ask(each) }, each));
    const offered = choices.length ? [make("h3", {}, this.texts.try_asking), make("div", { class: "choices" }, ...choices)] : [];
    this.welcome?.remove();
    this.welcome = make("div", { class: "welcome" }, ...lines.map((line) => make("p", {}, line)), ...offered);
    this.log.prepend(this.welcome);
  }

  makeQuestion(text) {
    return make("article", { class: "question" }, make("h3", { class: "hidden" }, this.texts.you), make("p", { dir: "auto" }, text));
  }

  /** Put a button above the messages; `load` gives those before them, which are shown in its place. */
  offerEarlier(load) {
    const button = make("button", { type: "button", class: "choice earlier" }, this.texts.show_earlier);
    button.addEventListener("click", async () => {
      button.disabled = true;
      const elements = await load().catch(() => null);
      if (!elements) return (button.disabled = false);
      const { scrollHeight, scrollTop } = this.log;
      button.replaceWith(...elements);
      this.log.scrollTop = scrollTop + this.log.scrollHeight - scrollHeight;
      this.log.focus({ preventScroll: true });
    });
    this.log.querySelector("article").before(button);
  }

  show(element) {
    this.log.append(element);
    this.log.scrollTop = this.log.scrollHeight;
  }

  /** Do something that makes the log longer, and keep its end in sight if it was. */
  following(change) {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    const wasAtEnd = scrollHeight - scrollTop - clientHeight < 60;
    change();
    if (wasAtEnd) this.log.scrollTop = this.log.scrollHeight;
  }

  clear() {
    this.log.replaceChildren();
  }
}
