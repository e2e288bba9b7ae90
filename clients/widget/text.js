// Texts of answers as elements. Nothing of a text is ever read as HTML: each word becomes a text node.

const INLINE = /\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]|`([^`]+)`|\*\*(?=\S)([^*]+?)\*\*|\*(?=\S)([^*\n]+?)\*|\[([^\]\n]+)\]\(((?:https?:|mailto:|tel:)[^\s)]+)\)|(https?:\/\/[^\s<>()]+[^\s<>().,;:!?])/g;
const MOST_QUOTES = 8; // one in another; a text may have a thousand signs in a row
const ITEM = /^(\s*)([-*+]|\d{1,4}[.)])\s+(.*)$/;

// HTML of others on the page may hold an element named "body", say, which `document.body` would find in the place of its own.
const readDocument = (name) => Object.getOwnPropertyDescriptor(Document.prototype, name).get.call(document);
const callDocument = (name, ...values) => Document.prototype[name].apply(document, values);

/** An element with properties (`class`, `on…`, attributes) and children, which are elements or texts. */
function make(tag, properties = {}, ...children) {
  const element = callDocument("createElement", tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** An element of a picture. */
function makeShape(tag, attributes, ...children) {
  const shape = callDocument("createElementNS", "http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
  shape.append(...children);
  return shape;
}

/** The blocks of an answer; `makeMark(number)` gives the element of a mark, or null where it is none. */
function renderBlocks(text, makeMark, depth = 0) {
  const lines = text.replaceAll("\r", "").split("\n");
  const blocks = [];
  while (lines.length) blocks.push(...takeBlock(lines, makeMark, depth));
  return blocks;
}

function takeBlock(lines, makeMark, depth) {
  const line = lines[0];
  const inline = (words) => renderInline(words, makeMark);
  const take = (fits) => {
    const taken = [];
    while (lines.length && fits(lines[0])) taken.push(lines.shift());
    return taken;
  };
  if (!line.trim()) return lines.shift(), [];
  if (/^\s*```/.test(line)) {
    lines.shift();
    const code = take((each) => !/^\s*```/.test(each));
    lines.shift();
    return [make("pre", { dir: "auto", tabindex: "0" }, make("code", {}, code.join("\n")))];
  }
  const heading = /^#{1,6}\s+(.*)$/.exec(line);
  if (heading) return lines.shift(), [make("p", { class: "heading", dir: "auto" }, make("strong", {}, ...inline(heading[1])))];
  if (/^\s*>/.test(line)) {
    const sign = depth < MOST_QUOTES ? /^\s*> ?/ : /^[\s>]+/;
    const quoted = take((each) => /^\s*>/.test(each)).map((each) => each.replace(sign, ""));
    return [make("blockquote", { dir: "auto" }, ...renderBlocks(quoted.join("\n"), makeMark, depth + 1))];
  }
  if (/^\s*\|.*\|\s*$/.test(line) && /^[\s|:-]+$/.test(lines[1] || "")) return [takeTable(take((each) => /^\s*\|/.test(each)), inline)];
  if (ITEM.test(line)) return [makeList(take((each) => ITEM.test(each) || (/^\s+\S/.test(each) && each.trim())), inline)];
  const words = take((each) => each.trim() && !ITEM.test(each) && !/^(#{1,6}\s|\s*(>|```))/.test(each));
  if (!words.length) words.push(lines.shift());
  return [make("p", { dir: "auto" }, ...words.flatMap((each, place) => [...(place ? [make("br")] : []), ...inline(each)]))];
}

function makeList(lines, inline) {
  const ordered = /^\s*\d/.test(lines[0]);
  const list = make(ordered ? "ol" : "ul", { dir: "auto", ...(ordered ? { start: parseInt(lines[0], 10) } : {}) });
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item) list.append(make("li", { dir: "auto", class: item[1].length > 1 ? "deeper" : null }, ...inline(item[3])));
    else list.lastChild.append(" ", ...inline(line.trim()));
  }
  return list;
}

function takeTable(lines, inline) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const row = (line, tag) => make("tr", {}, ...cells(line).map((cell) => make(tag, { dir: "auto" }, ...inline(cell))));
  const table = make("table", {}, make("thead", {}, row(lines[0], "th")), make("tbody", {}, ...lines.slice(2).map((line) => row(line, "td"))));
  return make("div", { class: "table", tabindex: "0" }, table);
}

function renderInline(text, makeMark) {
  const parts = [];
  let place = 0;
  for (const found of text.matchAll(INLINE)) {
    const elements = makeInline(found, makeMark);
    if (!elements.length) continue;
    parts.push(text.slice(place, found.index), ...elements);
    place = found.index + found[0].length;
  }
  return [...parts, text.slice(place)].filter((part) => part !== "");
}

/** What stands for a place that `INLINE` has found; nothing for marks of which there is no source. */
function makeInline([, marks, code, strong, emphasis, words, address, bare], makeMark) {
  if (marks) return marks.split(",").map((number) => makeMark(Number(number))).filter(Boolean);
  if (code) return [make("code", {}, code)];
  if (strong) return [make("strong", {}, ...renderInline(strong, makeMark))];
  if (emphasis) return [make("em", {}, ...renderInline(emphasis, makeMark))];
  return [makeLink(address || bare, words || bare)];
}

const makeLink = (href, ...words) => make("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...words);
