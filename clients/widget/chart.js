// Charts of an answer, from Vega-Lite as the service gives it: what is drawn, and the table of its figures. Where the kind of chart
// is none of ours, or no axis has room for its figures, there is the table alone.

const MOST_ROWS = 1000; // the service gives 500
const LONGEST_NAME = 200;
const MOST_SERIES = 12;
const MARKS = ["bar", "line", "area", "point"];

/** The chart with its title, its colours, and the table of its figures; `follow` as an answer has it. */
function makeChart({ alt, spec }, { texts, language, follow }) {
  const write = makeWriter(language);
  const { text = "", subtitle } = spec?.title ?? {};
  const title = make("figcaption", { dir: "auto" }, writeName(text));
  if (subtitle) title.append(make("p", { class: "since" }, writeName(subtitle))); // that it does not show all
  const chart = orNull(() => readChart(spec));
  const table = orNull(() => makeFigures(readRows(spec), write)) || make("p", { class: "since" }, texts.no_figures);
  const figures = make("details", { open: !chart }, make("summary", {}, texts.show_figures), table);
  if (!chart) return make("figure", {}, title, make("p", { class: "hidden" }, `${alt ?? ""}`), figures);
  const picture = makeShape("svg", { class: "plot", role: "img", "aria-label": alt ?? writeName(text) });
  const place = make("div", {}, picture);
  let drawnWidth = 0;
  new ResizeObserver(([{ contentRect }]) => {
    const width = Math.round(contentRect.width);
    if (width < 1 || width === drawnWidth) return;
    drawnWidth = width;
    follow(() => drawChart(picture, chart, { width, write }));
  }).observe(place);
  return make("figure", {}, title, place, makeLegend(chart), figures);
}

function orNull(read) {
  try {
    return read();
  } catch {
    return null; // it is not as we know it
  }
}

/** What is to be drawn, with its points in the order of their places; null where it is none of ours. */
function readChart(spec) {
  const mark = spec.mark?.type ?? spec.mark;
  const { x, y, color } = spec.encoding;
  const [place, figure] = mark === "bar" && y.type !== "quantitative" ? [y, x] : [x, y];
  if (!MARKS.includes(mark) || figure.type !== "quantitative" || figure.aggregate) return null; // summed up before, or not at all
  const points = readPoints(spec.data.values.slice(0, MOST_ROWS), { place, figure, color });
  const isTime = place.type === "temporal" && points.every((each) => !Number.isNaN(Date.parse(each.place)));
  const kind = isTime ? "time" : place.type === "quantitative" ? "number" : "category";
  const find = isTime ? Date.parse : (each) => each;
  points.sort(place.sort ? (one, other) => other.value - one.value : (one, other) => compare(find(one.place), find(other.place)));
  const [places, series] = ["place", "series"].map((name) => [...new Set(points.map((each) => each[name]))]);
  if (!points.length || series.length > MOST_SERIES) return null;
  if (kind === "number" && !places.every(Number.isFinite)) return null;
  const titles = { place: place.title, figure: figure.title, color: color?.title };
  const chart = { mark, kind, find, points, places, series: series.sort(compare), titles, isColoured: Boolean(color) };
  chart.spans = stack(chart);
  chart.axis = makeAxis(chart.spans.flatMap(({ from, to }) => [from, to]), figure.axis?.tickMinStep);
  if (kind === "number") chart.placeAxis = makeAxis(places, place.axis?.tickMinStep);
  return chart;
}

/** `{place, series, value}` of each row that has a figure. */
function readPoints(rows, { place, figure, color }) {
  const points = rows.map((row) => ({ place: row[place.field], series: color ? row[color.field] : "", value: row[figure.field] }));
  return points.filter(({ value }) => Number.isFinite(value));
}

const makeKey = ({ place, series }) => JSON.stringify([place, series]);
const compare = (one, other) => (one === other ? 0 : one < other ? -1 : 1);

/** The points, each with the span that it fills: bars and areas of several colours stand on one another. */
function stack({ mark, points, places, series, isColoured }) {
  if (!isColoured || !["bar", "area"].includes(mark)) return points.map((each) => ({ ...each, from: 0, to: each.value }));
  const known = new Map(points.map((each) => [makeKey(each), each]));
  const ends = new Map();
  return places.flatMap((place) => series.map((each) => known.get(makeKey({ place, series: each })) ?? { place, series: each, value: 0 })).map((each) => {
    const side = JSON.stringify([each.place, mark === "bar" && each.value < 0]); // bars below zero stand apart
    const from = ends.get(side) ?? 0;
    ends.set(side, from + each.value);
    return { ...each, from, to: from + each.value };
  });
}

/** An axis for *values* and zero: from where to where it goes, and where it has lines. */
function makeAxis(values, finest = 0) {
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const rough = (high - low || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(power * [1, 2, 5, 10].find((each) => each * power >= rough * 0.999), finest);
  const first = Math.floor(low / step);
  const last = Math.max(Math.ceil(high / step), first + 1);
  if (!Number.isFinite((last - first) * step) || last - first > 20) throw new RangeError("An axis has no room for it.");
  return { low: first * step, high: last * step, ticks: Array.from({ length: last - first + 1 }, (_, number) => (first + number) * step) };
}

/** The titles of the columns, and the rows under them. */
function readRows(spec) {
  const columns = Object.values(spec.encoding).filter((each) => each?.field);
  const rows = spec.data.values.slice(0, MOST_ROWS).map((row) => columns.map(({ field }) => row[field]));
  return { titles: columns.map(({ title, field }) => title ?? field), rows, figures: columns.flatMap(({ type }, number) => (type === "quantitative" ? [number] : [])) };
}

/** The table; null where there is none. */
function makeFigures({ titles, rows, figures }, write) {
  if (!rows.length || !titles.length) return null;
  const cell = (value, number) => (figures.includes(number) && Number.isFinite(value) ? make("td", { class: "figure" }, write.whole(value)) : make("td", { dir: "auto" }, writeName(value)));
  const head = make("tr", {}, ...titles.map((title) => make("th", { dir: "auto", scope: "col" }, writeName(title))));
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell)))));
  return make("div", { class: "table figures", tabindex: "0" }, table);
}

const writeName = (name) => `${name ?? "–"}`.slice(0, LONGEST_NAME);

/** What writes figures, short or whole, and times, as the visitor's language does. */
function makeWriter(language) {
  const format = (options) => new Intl.NumberFormat(language, { maximumSignificantDigits: 12, ...options });
  const [plain, compact, scientific] = [{}, { notation: "compact", maximumSignificantDigits: 3 }, { notation: "scientific", maximumSignificantDigits: 6 }].map(format);
  const isLong = (number) => number !== 0 && (Math.abs(number) >= 1e15 || Math.abs(number) < 1e-4);
  const day = { timeZone: "UTC", year: "numeric", month: "short", day: "numeric" };
  const byLength = { 4: { timeZone: "UTC", year: "numeric" }, 7: { ...day, day: undefined }, 10: day };
  return {
    short: (number) => (isLong(number) ? scientific : compact).format(number),
    whole: (number) => (isLong(number) ? scientific : plain).format(number),
    time: (text) => new Intl.DateTimeFormat(language, byLength[text.length] || { ...day, hour: "2-digit", minute: "2-digit" }).format(Date.parse(text)),
  };
}
