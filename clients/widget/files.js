// Files that a conversation's answers may rest on: chosen, dropped or pasted, sent one after the other, and listed until they are
// removed. The service reads each at once.

const MOST_NAMES = 3; // of files that are refused for the same reason

class Files {
  /** `on`: how a file is put to the conversation (`attach`) and taken away (`detach`), and what is said where that fails (`explain`). */
  constructor(texts, language, on) {
    Object.assign(this, { texts, on, sending: new Set(), queue: Promise.resolve() });
    this.megabytes = (bytes) => new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(Math.floor(bytes / 1e5) / 10);
    this.input = make("input", { type: "file", multiple: true, hidden: true, onchange: () => this.choose() });
    this.button = make("button", { type: "button", class: "plain", hidden: true, onclick: () => this.input.click() }, makeIcon("attach"));
    this.list = make("ul", { "aria-label": texts.files });
    this.note = make("p", { class: "since" });
    this.said = make("div", { class: "hidden", role: "status" });
    this.element = make("div", { class: "files", hidden: true }, this.note, this.list);
  }

  /** Let files be attached, as many and as large as the service takes. */
  allow({ most_file_count: count, most_file_bytes: bytes }) {
    const { texts } = this;
    Object.assign(this, { count, bytes, limits: { count, size: this.megabytes(bytes) } });
    this.note.textContent = fill(texts.files_note, this.limits);
    this.button.title = fill(texts.attach, this.limits);
    this.button.setAttribute("aria-label", this.button.title);
    this.button.hidden = false;
  }

  /** Take what is dropped on *area*, or pasted into *box*. */
  listen(area, box) {
    const mark = (event, text) => {
      if (this.button.hidden || !event.dataTransfer?.types.includes("Files")) return false;
      event.preventDefault();
      event.stopPropagation(); // the page around it may take files, too
      if (text) area.dataset.drop = text;
      else delete area.dataset.drop;
      return true;
    };
    area.addEventListener("dragover", (event) => mark(event, this.texts.drop));
    area.addEventListener("dragleave", (event) => area.contains(event.relatedTarget) || mark(event, ""));
    area.addEventListener("drop", (event) => mark(event, "") && this.add(event.dataTransfer.files));
    box.addEventListener("paste", (event) => {
      const { files, types } = event.clipboardData;
      if (this.button.hidden || !files.length || types.includes("text/plain")) return; // of a table, say, there is a picture, too
      event.preventDefault();
      this.add(files);
    });
  }

  get isSending() {
    return this.sending.size > 0;
  }

  choose() {
    const files = [...this.input.files];
    this.input.value = "";
    this.add(files);
  }

  /** Take away what was said of files that are not attached. */
  tidy() {
    for (const each of this.list.querySelectorAll(".refused")) each.remove();
    this.refresh();
  }

  add(files) {
    this.tidy();
    const tooLarge = [...files].filter((file) => file.size > this.bytes);
    const others = [...files].filter((file) => file.size <= this.bytes);
    const room = Math.max(0, this.count - this.list.querySelectorAll("li:not(.refused)").length);
    for (const file of others.slice(0, room)) this.send(file);
    const refusals = [this.refuseAll(tooLarge, this.texts.file_too_large), this.refuseAll(others.slice(room), this.texts.file_too_many)];
    if (refusals.some(Boolean)) this.said.textContent = refusals.filter(Boolean).join(" ");
  }

  /** Say in one place how many of *files* are not attached, and which; gives what was said. */
  refuseAll(files, reason) {
    if (!files.length) return "";
    const names = files.slice(0, MOST_NAMES).map((file) => file.name);
    const more = files.length > MOST_NAMES ? ` + ${files.length - MOST_NAMES}` : "";
    this.refuse(names.join(", ") + more, fill(reason, this.limits));
    return this.said.textContent;
  }

  /** Show those that the conversation has. */
  show(files) {
    this.clear();
    for (const file of files) this.keep(this.makeItem(file.name), file);
  }

  /** Forget all: another conversation has others. */
  clear() {
    for (const controller of this.sending) controller.abort();
    this.list.replaceChildren();
    this.refresh();
  }

  send(file, key = makeId()) {
    const item = this.makeItem(file.name);
    const controller = new AbortController();
    const bar = make("progress", { max: 1, value: 0, "aria-label": fill(this.texts.sending, { name: file.name }) });
    item.told.append(bar);
    item.button.addEventListener("click", () => (controller.abort(), this.drop(item)));
    const show = (share) => {
      if (share < 1) return (bar.value = share);
      item.button.disabled = true; // the service has it, and reads it
      bar.removeAttribute("value");
      item.told.replaceChildren(bar, this.texts.reading);
    };
    this.sending.add(controller);
    this.queue = this.queue.then(async () => {
      try {
        if (!controller.signal.aborted) this.settle(item, await this.on.attach(file, key, { show, signal: controller.signal }));
      } catch (error) {
        if (!controller.signal.aborted) this.fail(item, file, key, error);
      }
      this.sending.delete(controller);
      this.on.sent();
    });
  }

  settle(item, kept) {
    if (!item.element.isConnected) return;
    this.keep(item, kept);
    this.said.textContent = fill(this.texts.attached, { name: kept.name });
  }

  fail(item, file, key, error) {
    const again = make("button", { type: "button", class: "choice", onclick: () => (again.closest("li").remove(), this.send(file, key)) }, this.texts.try_again);
    const refusal = error instanceof Refused && !error.passes ? error.problem.detail : "";
    item.element.replaceWith(refusal ? this.refuse(file.name, refusal, { lang: "en" }) : this.refuse(file.name, this.texts.file_not_sent, { again }));
    this.refresh();
  }

  keep(item, { id, name, note }) {
    item.name.textContent = name;
    item.told.replaceChildren(note ? this.texts.file_in_part : "");
    item.told.title = note || "";
    const button = this.makeRemover(name, async () => {
      button.disabled = true;
      try {
        await this.on.detach(id);
        this.drop(item);
      } catch (error) {
        item.told.textContent = this.on.explain(error);
        button.disabled = false;
      }
    });
    item.button.replaceWith(button);
  }

  /** Say that a file is not attached, and why. */
  refuse(name, reason, { again, lang } = {}) {
    const { element, told, button } = this.makeItem(name);
    element.classList.add("refused");
    told.append(this.texts.not_attached, " ", make("span", { lang }, reason), ...(again ? [again] : []));
    button.addEventListener("click", () => this.drop({ element }));
    this.said.textContent = `${name}: ${told.textContent}`;
    return element;
  }

  makeItem(name) {
    const told = make("span", { class: "told" });
    const button = this.makeRemover(name, () => {});
    const shown = make("span", { class: "name", dir: "auto" }, name);
    const element = make("li", {}, make("div", {}, shown, told), button);
    this.list.append(element);
    this.refresh();
    this.element.scrollTop = this.element.scrollHeight; // the newest is in sight
    return { name: shown, element, told, button };
  }

  makeRemover(name, onclick) {
    const label = fill(this.texts.remove, { name });
    return make("button", { type: "button", class: "plain", "aria-label": label, title: label, onclick }, makeIcon("close"));
  }

  drop({ element }) {
    const hadFocus = element.matches(":focus-within");
    element.remove();
    this.refresh();
    if (hadFocus) this.button.focus();
  }

  refresh() {
    this.element.hidden = !this.list.children.length;
    this.note.hidden = !this.list.querySelector("li:not(.refused)");
  }
}
