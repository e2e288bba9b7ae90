// One answer: its text while it comes, its marks from 1 on in the order in which they stand, and the sources they open.

const DOUBT_BEGINS = "\ue000";
const DOUBT_ENDS = "\ue001";

class Answer {
  /** `follow` does what makes the answer longer, and keeps its end in sight. */
  constructor(texts, language, follow) {
    Object.assign(this, { texts, language, follow });
    this.text = "";
    this.citations = new Map();
    this.body = make("div", { class: "text" });
    this.charts = make("div", { class: "charts" });
    this.note = make("p", { class: "note", hidden: true });
    this.sources = make("div", { class: "sources" });
    this.more = make("div", { class: "choices" });
    this.thumbs = make("div", { class: "thumbs" });
    this.followUps = make("div", { class: "choices" });
    this.element = make("article", { class: "answer" }, make("h3", { class: "hidden" }, texts.assistant), this.body, this.charts, this.note, this.sources, this.more, this.thumbs, this.followUps);
  }

  /** Show what is being done, or what became of it; "" shows nothing. */
  say(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  clear() {
    this.text = "";
    this.body.replaceChildren();
  }

  add(piece) {
    this.text += piece;
    this.drawing ||= requestAnimationFrame(() => this.follow(() => this.draw()));
  }

  cite(citation) {
    this.citations.set(citation.number, citation);
  }

  draw(text = this.text) {
    cancelAnimationFrame(this.drawing);
    this.drawing = 0;
    this.shown = new Map(); // number of the service -> number that is shown
    this.body.replaceChildren(...renderBlocks(text, (number) => this.makeMark(number)));
    underlineDoubts(this.body);
  }

  /** Show the whole answer, as the service told it at the end or keeps it in the conversation. */
  finish(told) {
    this.text = told.answer ?? told.content;
    for (const citation of told.citations || []) this.cite(citation);
    const doubts = (told.support?.sentences || []).filter((sentence) => sentence.status === "unsupported");
    this.draw(markDoubts(this.text, doubts));
    const charts = (told.tool_calls || []).flatMap(({ chart }) => (chart ? [makeChart(chart, this)] : []));
    this.charts.replaceChildren(...charts);
    const { quotes, not_supported } = this.texts;
    this.say([told.fallback_reason && quotes, doubts.length && not_supported].filter(Boolean).join(" "));
    const isClosest = told.confidence === "low" || told.answered === false;
    this.drawSources(isClosest ? this.texts.closest : this.texts.sources);
  }

  offer(choices, choose) {
    this.more.replaceChildren(...choices.map((each) => make("button", { type: "button", class: "choice", dir: "auto", onclick: () => choose(each) }, each)));
  }

  /** Two thumbs; one that is pressed again takes the rating back. `save(rating)` tells the service, null: none. */
  offerRating(rating, save) {
    let current = rating || null;
    let saving = Promise.resolve(); // one after the other
    const thumbs = ["up", "down"].map((each) => make("button", { type: "button", class: "thumb", "aria-label": this.texts[each], title: this.texts[each], onclick: () => press(each) }, makeIcon(each)));
    const show = (chosen) => {
      current = chosen;
      thumbs.forEach((thumb, place) => thumb.setAttribute("aria-pressed", ["up", "down"][place] === current));
    };
    const press = (each) => {
      const before = current;
      const chosen = each === current ? null : each;
      show(chosen);
      saving = saving.then(() => save(chosen)).catch(() => show(before));
    };
    show(current);
    this.thumbs.replaceChildren(...thumbs);
  }

  /** Questions about the same document, as `{heading, question}`, for as long as nothing else is asked. */
  offerFollowUps(title, questions, choose) {
    const buttons = questions.map((each) => make("button", { type: "button", class: "choice", dir: "auto", title: each.question, onclick: () => choose(each.question) }, each.heading));
    this.followUps.replaceChildren(...(buttons.length ? [make("h4", {}, title), ...buttons] : []));
  }

  makeMark(number) {
    const citation = this.citations.get(number);
    if (!citation) return null;
    if (!this.shown.has(number)) this.shown.set(number, this.shown.size + 1);
    const shown = this.shown.get(number);
    const label = fill(this.texts.source, { number: shown, title: citation.title });
    return make("button", { type: "button", class: "mark", "aria-label": label, title: citation.title, onclick: () => this.open(number) }, `${shown}`);
  }

  drawSources(heading) {
    for (const number of this.citations.keys()) if (!this.shown.has(number)) this.shown.set(number, this.shown.size + 1);
    const cards = [...this.shown].map(([number, shown]) => this.makeCard(this.citations.get(number), shown));
    this.sources.replaceChildren(...(cards.length ? [make("h4", {}, heading), ...cards] : []));
  }

  makeCard(citation, shown) {
    const { texts } = this;
    const { title, heading } = citation; // which often begins with the title
    const place = heading?.startsWith(title) ? heading : [title, heading].filter(Boolean).join(" › ");
    const page = citation.page ? `, ${fill(texts.page, { number: citation.page })}` : "";
    const since = { replaced: texts.replaced, deleted: texts.deleted }[citation.document_status];
    const address = [citation.link, citation.url].find((each) => /^https?:\/\//.test(each || ""));
    return make(
      "details",
      { "data-number": citation.number },
      make("summary", { dir: "auto" }, make("span", { class: "number" }, `${shown}`), ` ${place}${page}`),
      make("blockquote", { dir: "auto", lang: citation.language }, citation.quote),
      since ? make("p", { class: "since" }, since) : null,
      address
        ? make("a", { class: "link", href: address, target: "_blank", rel: "noopener noreferrer" }, texts.open_document, make("span", { class: "hidden" }, ` (${texts.new_tab})`))
        : null,
    );
  }

  /** Open the source of a mark, and bring who follows it there. */
  open(number) {
    const card = this.sources.querySelector(`[data-number="${number}"]`);
    if (!card) return; // the answer still comes
    card.open = true;
    const summary = card.querySelector("summary");
    summary.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
  }

  /** What a screen reader reads when the answer is complete. */
  read() {
    return [...this.body.children].map((block) => block.textContent).join("\n");
  }
}

/** *text* with signs around the sentences in doubt, whose places count characters, as the service counts them. */
function markDoubts(text, doubts) {
  const characters = Array.from(text);
  for (const { start, end } of doubts) {
    if (start >= end || end > characters.length) continue;
    const lead = /^[\s#>*+\-]*(\d{1,4}[.)]\s+)?/.exec(characters.slice(start, end).join(""))[0].length;
    const from = Math.min(start + lead, end - 1);
    characters[from] = DOUBT_BEGINS + characters[from];
    characters[end - 1] += DOUBT_ENDS;
  }
  return characters.join("");
}

function underlineDoubts(body) {
  const walker = callDocument("createTreeWalker", body, NodeFilter.SHOW_TEXT);
  const nodes = [];
  while (walker.nextNode()) nodes.push(walker.currentNode);
  let inDoubt = false;
  for (const node of nodes) {
    const parts = node.data.split(/([\ue000\ue001])/).flatMap((part) => {
      if (part === DOUBT_BEGINS || part === DOUBT_ENDS) return (inDoubt = part === DOUBT_BEGINS), [];
      return part && inDoubt ? [make("u", { class: "doubt" }, part)] : [part];
    });
    if (parts.length > 1 || parts[0] !== node.data) node.replaceWith(...parts.filter(Boolean));
  }
}

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
