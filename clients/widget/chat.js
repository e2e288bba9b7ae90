// A conversation: what is asked, what of it comes back, and what is said where something does not.

const FOLLOW_UPS = 3;

class Chat {
  constructor(options) {
    this.options = options;
    this.texts = TEXTS[options.language];
    this.topics = new Map();
    this.memory = new Memory(options.publicId);
    this.service = new Service(options.base, options.publicId, this.memory);
    const on = { ask: (text) => this.ask(text), stop: () => this.stop(), anew: () => this.begin(), open: () => this.open(), close: () => this.memory.write({ isOpen: false }) };
    on.files = { attach: (...file) => this.attach(...file), detach: (id) => this.detach(id), explain: (error) => this.explain(error), sent: () => this.panel.release() };
    this.panel = new Panel(this.texts, options, on);
    readDocument("body").append(this.panel.host);
    if (options.page) this.panel.open();
    else if (this.memory.read().isOpen) this.panel.open({ takesFocus: false });
  }

  async open() {
    this.memory.write({ isOpen: true });
    if (this.hasBegun) return;
    this.hasBegun = true;
    try {
      const lines = await this.welcome();
      await Promise.all([this.offerQuestions(lines), this.offerFiles(), this.restore()]);
    } catch (error) {
      this.hasBegun = false;
      if (this.options.page && error.kind === ORIGIN_REFUSED) this.showClosed(error);
      else this.panel.tell(this.explain(error));
      const where = `exactly ${location.origin}, and in CORS_ORIGINS of the service`;
      console.warn(`pustaka: the chat cannot begin. If the service runs: is this origin in the bot's allowed_origins, ${where}?`, error);
    }
  }

  /** On the page of its own, which the operator opens first: how it is opened to others. */
  showClosed(error) {
    const [tenant, bot] = this.options.publicId.split("/");
    const command = `flask bot set ${bot}${tenant === "default" ? "" : ` --tenant ${tenant}`} --origin ${location.origin}`;
    this.panel.showWelcome([this.explain(error), fill(this.texts.closed_here, { command })], []);
  }

  async welcome() {
    this.panel.showWelcome([this.texts.machine], []);
    const visit = await this.service.visit();
    if (visit.institution && !this.options.title) this.panel.title.textContent = visit.institution;
    const lines = [this.texts.machine, fill(this.texts.kept, { time: this.tellTime(visit.kept_s) })];
    this.panel.showWelcome(lines, []);
    this.panel.tell("");
    return lines;
  }

  async offerQuestions(lines) {
    const topics = await this.service.get(`v1/topics?language=${this.options.language}`).catch(() => ({ questions: [] }));
    this.panel.showWelcome(lines, topics.questions.map((each) => each.question));
  }

  /** Let files be attached where the service takes some, and show those that this tab's conversation has. */
  async offerFiles() {
    const terms = await this.service.get("v1/terms").catch(() => ({}));
    if (!terms.most_file_count) return;
    this.panel.files.allow(terms);
    const { conversationId } = this.memory.read();
    if (!conversationId || this.panel.files.isSending) return;
    const { files } = await this.service.get(`v1/conversations/${conversationId}/files`).catch(() => ({ files: [] }));
    if (conversationId === this.memory.read().conversationId && !this.panel.files.isSending) this.panel.files.show(files);
  }

  attach(file, key, how) {
    return this.service.attach(this.nameConversation(), file, key, how);
  }

  async detach(id) {
    await this.service.send(`v1/conversations/${this.conversationId}/files/${id}`, { method: "DELETE" }).catch((error) => {
      if (error.status !== 404) throw error; // another tab was quicker
    });
  }

  /** The conversation's id, which this tab chooses: files may be put to it before anything is asked. */
  nameConversation() {
    this.conversationId ??= this.memory.read().conversationId || makeId();
    this.memory.write({ conversationId: this.conversationId });
    return this.conversationId;
  }

  /** Show what was said in this tab before, and go on with an answer that was under way. */
  async restore() {
    const { conversationId } = this.memory.read();
    if (!conversationId || this.conversationId) return;
    const kept = await this.service.get(`v1/conversations/${conversationId}`).catch((error) => {
      if (error.status === 404) return null; // it has expired, or has files alone
      throw error;
    });
    this.conversationId ??= conversationId;
    if (!kept || this.last) return; // something was asked meanwhile
    for (const element of this.makeMessages(kept.messages)) this.panel.show(element);
    this.offerEarlier(kept);
    const [asked, last] = kept.messages.slice(-2);
    if (last?.role === "assistant") this.offerFollowUps(last, asked.content);
    const unanswered = kept.messages.at(-1);
    if (unanswered?.role !== "user") return; // else it was answered just now
    const { last: shown } = this;
    const runId = kept.running ? kept.run_id : await this.findStopped(unanswered.run_id);
    if (runId && shown === this.last) await this.answer({ runId });
  }

  /** The run of that id, if it was stopped: the service keeps for a while what had come of its answer. */
  async findStopped(id) {
    const run = id ? await this.service.get(`v1/runs/${id}`).catch(() => null) : null;
    return run?.status === "cancelled" ? id : null;
  }

  makeMessages(messages) {
    return messages.map((message) => {
      if (message.role === "user") return this.panel.makeQuestion(message.content);
      const answer = this.makeAnswer();
      this.finish(answer, message);
      return answer.element;
    });
  }

  offerEarlier({ offset }) {
    const id = this.conversationId;
    if (!offset) return;
    this.panel.offerEarlier(async () => {
      const earlier = await this.service.get(`v1/conversations/${id}?before=${offset}`).catch((error) => {
        this.panel.tell(this.explain(error));
        throw error;
      });
      this.panel.tell("");
      if (this.conversationId !== id) return []; // another one was begun meanwhile
      const { last } = this;
      const elements = this.makeMessages(earlier.messages);
      this.last = last;
      setTimeout(() => this.offerEarlier(earlier)); // above those that are shown then
      return elements;
    });
  }

  /** Other headings of the document that the newest answer cites first. */
  async offerFollowUps(told, question) {
    const { last: answer } = this;
    const [first] = told.citations || [];
    if (!first?.document_id || first.query || !first.version) return; // a figure, or a file of this conversation
    const address = `v1/topics?language=${this.options.language}&document_id=${encodeURIComponent(first.document_id)}`;
    if (!this.topics.has(address)) this.topics.set(address, await this.service.get(address).catch(() => ({ questions: [] })));
    if (answer !== this.last || this.panel.isAnswering) return;
    const cited = new Set(told.citations.map((each) => (each.heading || "").split(" › ").at(-1)));
    const others = this.topics.get(address).questions.filter((each) => !cited.has(each.heading) && each.question !== question);
    const title = fill(this.texts.more_about, { title: first.title });
    this.panel.following(() => answer.offerFollowUps(title, others.slice(0, FOLLOW_UPS), (next) => this.ask(next)));
  }

  begin() {
    this.stop();
    this.conversationId = this.last = null;
    this.memory.write({ conversationId: null });
    this.panel.clear();
    this.panel.files.clear();
    this.panel.tell("");
    this.hasBegun = false;
    this.panel.input.focus();
    this.open();
  }

  async ask(message) {
    if (this.panel.isAnswering || this.panel.isHeldUp()) return;
    if (this.last?.followUps.matches(":focus-within")) this.panel.log.focus({ preventScroll: true });
    this.last?.followUps.replaceChildren();
    this.panel.files.tidy();
    this.panel.show(this.panel.makeQuestion(message));
    await this.answer({ message, conversationId: this.nameConversation() });
  }

  makeAnswer() {
    return (this.last = new Answer(this.texts, this.options.language, (change) => this.panel.following(change)));
  }

  async answer(question) {
    const answer = this.makeAnswer();
    this.panel.show(answer.element);
    const turn = (this.turn = { controller: new AbortController(), runId: question.runId, answer });
    this.panel.setAnswering(true);
    this.panel.following(() => answer.say(this.texts.working));
    this.panel.announce(this.texts.working);
    try {
      for await (const event of this.service.follow(question, turn.controller.signal)) await this.take(event, turn);
    } catch (error) {
      if (!turn.isStopped) this.fail(answer, error, question);
    } finally {
      if (turn === this.turn) this.end(turn, question);
    }
  }

  end(turn, question) {
    this.panel.setAnswering(false);
    this.turn = null;
    this.panel.tell("");
    if (turn.told) this.offerFollowUps(turn.told, question.message);
  }

  async take(event, turn) {
    const { answer } = turn;
    if (event.run_id) turn.runId = event.run_id;
    if (turn.isStopped) return this.cancel(turn);
    if (event.type === "done") turn.told = event;
    this.panel.tell(event.type === "lost" ? this.texts.lost : "");
    this.panel.following(() => this.show(event, answer));
    if (event.type === "error") {
      throw new Refused(event.problem.status, event.problem, 0);
    } else if (event.type === "waiting") {
      await this.goOnWithout(event, turn);
    }
  }

  show(event, answer) {
    const { type } = event;
    if (type === "token") answer.say(""), answer.add(event.content);
    else if (type === "citation") answer.cite(event);
    else if (type === "fallback") answer.clear();
    else if (type === "resumed") answer.clear(), answer.say(this.texts.anew);
    else if (type === "cancelled") answer.draw(), answer.say(this.texts.stopped);
    else if (type === "done") this.finish(answer, event), this.panel.announce(`${this.texts.answer_done} ${answer.read()}`);
  }

  finish(answer, told) {
    answer.finish(told);
    answer.offer(told.clarification?.choices || [], (choice) => this.ask(choice));
    const path = `v1/conversations/${this.conversationId}/answers/${told.run_id}/rating`;
    if (told.run_id && !told.small_talk && !told.clarification) answer.offerRating(told.rating, (rating) => this.rate(path, rating));
  }

  async rate(path, rating) {
    try {
      await this.service.send(path, rating ? { method: "PUT", body: { rating } } : { method: "DELETE" });
      this.panel.tell("");
    } catch (error) {
      if (!rating && error.status === 404) return; // another tab was quicker
      this.panel.tell(this.texts.rating_failed);
      throw error;
    }
  }

  /** A call of a tool would need somebody's approval, which a visitor of a website cannot give. */
  async goOnWithout(event, turn) {
    turn.answer.say(fill(this.texts.not_done_here, { name: event.call.name }));
    const body = { call_id: event.call.call_id, decision: "reject" };
    await this.service.send(`v1/runs/${event.run_id}/resume`, { method: "POST", body });
    turn.answer.clear();
    for await (const next of this.service.follow({ runId: event.run_id }, turn.controller.signal)) if (next.type !== "waiting") await this.take(next, turn);
  }

  stop() {
    const { turn } = this;
    if (!turn || turn.isStopped) return;
    turn.isStopped = true;
    this.panel.setAnswering(false);
    this.turn = null;
    if (turn.runId) this.cancel(turn);
    turn.answer.draw();
    turn.answer.say(this.texts.stopped);
    this.panel.announce(this.texts.stopped);
  }

  async cancel(turn) {
    turn.controller.abort();
    await this.service.send(`v1/runs/${turn.runId}/cancel`, { method: "POST" }).catch(() => {});
  }

  fail(answer, error, question) {
    const text = this.explain(error);
    answer.draw();
    answer.say(text);
    this.panel.announce(text);
    if (question.message) answer.offer([this.texts.try_again], () => this.retry(answer, question));
  }

  retry(answer, question) {
    if (this.panel.isAnswering || this.panel.isHeldUp()) return;
    answer.element.remove();
    this.answer(question);
  }

  explain(error) {
    const { texts } = this;
    if (!(error instanceof Refused)) return texts.away;
    if (error.status === 429) return fill(texts.too_many, { time: this.tellTime(error.waitS || 60) });
    const byKind = { conflict: texts.busy, "request-under-way": texts.busy, [ORIGIN_REFUSED]: fill(texts.closed, { origin: location.origin }), "not-found": texts.expired, gone: texts.expired };
    return byKind[error.kind] || (error.passes ? texts.away : texts.wrong);
  }

  tellTime(seconds) {
    const { texts } = this;
    if (seconds < 120) return fill(texts.seconds, { number: Math.ceil(seconds) });
    for (const [unit, one, many] of [[86_400, texts.day, texts.days], [3600, texts.hour, texts.hours]])
      if (seconds >= unit) return Math.round(seconds / unit) === 1 ? one : fill(many, { number: Math.round(seconds / unit) });
    return fill(texts.minutes, { number: Math.ceil(seconds / 60) });
  }
}
