// Draws a chart as wide as its place is, so that its letters are as large as others. Labels become text nodes.

const COLOURS = 6;
const PLOT_HEIGHT = 220;
const TALLEST = 1440;
const LINE = 16;
const ROW = 28;
const TALL_ROW = 36;
const GAP = 8;

function drawChart(picture, chart, { width, write }) {
  const writePlace = { time: write.time, category: writeName, number: write.short }[chart.kind];
  const named = (chart.placeAxis?.ticks ?? chart.places).map((each) => [each, writePlace(each)]);
  const ticks = chart.axis.ticks.map((each) => [each, write.short(each)]);
  const side = Math.max(...ticks.map(([, label]) => measure(label))) + GAP;
  const room = (width - side - GAP) / named.length;
  const isLying = chart.mark === "bar" && chart.kind === "category" && named.some(([, label]) => measure(label) + GAP > room);
  const layout = (isLying ? layDown : standUp)(chart, { width, side, named, ticks });
  const height = Math.ceil(layout.bottom + 2 * LINE + GAP);
  const [above, below] = isLying ? [chart.titles.place, chart.titles.figure] : [chart.titles.figure, chart.titles.place];
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height })) picture.setAttribute(name, value);
  picture.replaceChildren(
    ...layout.lines,
    ...layout.labels,
    ...drawMarks(chart, layout, (each) => [chart.isColoured ? writeName(each.series) : "", writePlace(each.place), write.whole(each.value)].filter(Boolean).join(", ")),
    drawText(cut(writeName(above), width), 0, LINE - 4),
    drawText(cut(writeName(below), width), width, height - 4, "end"),
  );
}

/** Places from left to right, figures upwards. */
function standUp(chart, { width, side, named, ticks }) {
  const [top, bottom, right] = [LINE + GAP, LINE + GAP + PLOT_HEIGHT, width - GAP];
  const [along, up] = [scalePlaces(chart, side, right), scale(chart.axis, bottom, top)];
  const lines = ticks.map(([value]) => makeShape("path", { class: "grid", d: `M${side} ${round(up(value))}H${right}` }));
  const figures = ticks.map(([value, label]) => drawText(label, side - GAP / 2, up(value) + 4, "end"));
  return { bottom, lines, along, up, room: right - side, at: (place, value) => [place, value], labels: [...figures, ...spread(named, along, width, bottom + LINE)] };
}

/** Places from top to bottom, figures to the right: for bars with long names, or many. Names that take much room stand above. */
function layDown(chart, { width, named, ticks }) {
  const longest = Math.max(...named.map(([, label]) => measure(label))) + GAP;
  const isAbove = longest > width * 0.4 && named.length * TALL_ROW <= TALLEST;
  const side = isAbove ? measure(ticks[0][1]) / 2 : Math.min(longest, width * 0.4);
  const height = Math.min((isAbove ? TALL_ROW : ROW) * named.length, TALLEST);
  const [top, bottom, right] = [LINE + GAP, LINE + GAP + height, width - measure(ticks.at(-1)[1]) / 2];
  const [row, up] = [scalePlaces(chart, top, bottom), scale(chart.axis, side, right)];
  const lines = ticks.map(([value]) => makeShape("path", { class: "grid", d: `M${round(up(value))} ${top}V${bottom}` }));
  const step = Math.ceil(((LINE - 2) * named.length) / height);
  const names = named.filter((_, number) => number % step === 0).map(([place, label]) => (isAbove ? drawText(cut(label, width), 0, row(place) - 4) : drawText(cut(label, side - GAP), side - GAP / 2, row(place) + 4, "end")));
  const along = (place) => row(place) + (isAbove ? LINE / 2 : 0);
  return { bottom, lines, along, up, room: isAbove ? height / 2 : height, at: (place, value) => [value, place], labels: [...names, ...spread(ticks, up, width, bottom + LINE)] };
}

function drawMarks(chart, { along, up, at, room }, tell) {
  const { mark, spans, series, places } = chart;
  const find = (each) => along(each.place);
  const centres = places.map(along).sort((one, other) => one - other);
  const nearest = centres.slice(1).reduce((least, each, number) => Math.min(least, each - centres[number]), room / places.length);
  const thickness = Math.max(1, Math.min(48, nearest * 0.75));
  const thin = thickness < 4 ? " thin" : "";
  const of = (each) => spans.filter((span) => span.series === each);
  const say = (shape, each) => (shape.append(makeShape("title", {}, tell(each))), shape);
  const dot = (each) => say(makeShape("circle", { class: paint(chart, each.series), cx: round(find(each)), cy: round(up(each.value)), r: mark === "point" ? 4 : 3 }), each);
  if (mark === "point") return spans.map(dot);
  if (mark === "bar")
    return spans.filter((each) => each.from !== each.to).map((each) => {
      const [from, to] = [up(each.from), up(each.to)].sort((one, other) => one - other);
      const [[x, y], [w, h]] = [at(find(each) - thickness / 2, from), at(thickness, Math.max(1, to - from))].map((pair) => pair.map(round));
      return say(makeShape("rect", { class: paint(chart, each.series) + thin, x, y, width: w, height: h }), each);
    });
  const join = (all, end) => all.map((each) => `${round(find(each))} ${round(up(each[end]))}`).join("L");
  if (mark === "area") return series.map((each) => makeShape("path", { class: paint(chart, each), d: `M${join(of(each), "to")}L${join(of(each).reverse(), "from")}Z` }));
  const lines = series.map((each) => makeShape("path", { class: `${paint(chart, each)} line`, d: `M${join(of(each), "to")}` }));
  return spans.length > 60 ? lines : [...lines, ...spans.map(dot)];
}

/** The classes that give a series its colour; the colours come twice, filled and hollow. */
function paint({ series }, each) {
  const number = series.indexOf(each);
  return `shape c${number % COLOURS}${number < COLOURS ? "" : " hollow"}`;
}

function makeLegend(chart) {
  if (!chart.isColoured) return null;
  const shape = (each) => (chart.mark === "line" ? makeShape("path", { class: `${paint(chart, each)} line`, d: "M0 8H24" }) : makeShape("rect", { class: paint(chart, each), x: 7, y: 3, width: 10, height: 10 }));
  const items = chart.series.map((each) => make("li", {}, makeShape("svg", { class: "plot", "aria-hidden": "true", width: 24, height: 16 }, shape(each)), make("span", { dir: "auto" }, writeName(each))));
  return make("ul", { class: "legend", "aria-label": chart.titles.color }, ...items);
}

const scale = ({ low, high }, from, to) => (value) => from + ((value - low) / (high - low)) * (to - from);

/** Where a place is between *from* and *to*: times and numbers by their distance, others one after the other. */
function scalePlaces({ kind, find, places, placeAxis }, from, to) {
  if (placeAxis) return scale(placeAxis, from, to);
  const half = (to - from) / places.length / 2;
  const order = new Map(places.map((each, number) => [each, number]));
  const times = kind === "time" ? places.map(find) : [];
  const [low, high] = [Math.min(...times), Math.max(...times)];
  if (!(low < high)) return (place) => from + half * (2 * order.get(place) + 1);
  return (place) => scale({ low, high }, from + half, to - half)(find(place));
}

/** Labels side by side at *y*: all, or every second, or third, as there is room. */
function spread(labels, along, width, y) {
  const all = labels.map(([place, label]) => {
    const shown = cut(label, width / 3);
    const half = measure(shown) / 2;
    return { shown, half, x: Math.min(Math.max(along(place), half), width - half) };
  });
  const isFree = (one, other) => other.x - other.half >= one.x + one.half + GAP;
  let step = 1;
  while (!all.every((each, number) => number % step || number < step || isFree(all[number - step], each))) step += 1;
  return all.filter((_, number) => number % step === 0).map(({ shown, x }) => drawText(shown, x, y, "middle"));
}

const drawText = (text, x, y, anchor = "start") => makeShape("text", { x: round(x), y: round(y), "text-anchor": anchor }, text);
const round = (number) => Math.round(number * 10) / 10;

let pen;
function measure(text) {
  if (!pen) {
    pen = callDocument("createElement", "canvas").getContext("2d");
    pen.font = "12px system-ui, sans-serif";
  }
  return pen.measureText(text).width;
}

/** *text*, or as much of it as *width* has room for. */
function cut(text, width) {
  if (measure(text) <= width) return text;
  const characters = Array.from(text);
  while (characters.length && measure(`${characters.join("")}…`) > width) characters.pop();
  return `${characters.join("")}…`;
}
