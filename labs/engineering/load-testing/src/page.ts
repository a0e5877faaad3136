import type { Report } from './recorder.ts';

/** JSON that can stand in a script: no text in it can end the element or begin a comment. */
const inScript = (value: unknown) => JSON.stringify(value).replaceAll('<', '\\u003c');

/** The report as one file of HTML, with its charts; without a report the page follows the run on `/events`. */
export const html = (report?: Report): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Load test</title>
<style>
  body { font: 16px system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; }
  dl { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; } dt { color: #5a6b7b; } dd { margin: 0; font-size: 1.8rem; }
  svg { width: 100%; height: 9rem; background: #f3f6f8; } polyline { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; }
  h2 { font-size: 1rem; margin: 1.5rem 0 .3rem; } b { font-weight: 600; }
  table { border-collapse: collapse; width: 100%; margin-top: 1.5rem; } td, th { padding: .3rem .6rem; text-align: right; }
  td:first-child, th:first-child { text-align: left; } tr { border-bottom: 1px solid #d5dde3; }
  .passed { color: #16794c; } .failed { color: #b3261e; } .refused { color: #8a5a00; }
</style>
<h1>Load test <span id="verdict" role="status">is running</span></h1>
<ul id="reasons"></ul>
<dl id="figures"></dl>
<div id="charts"></div>
<table id="rows"></table>
<script>
const report = ${report === undefined ? 'undefined' : inScript(report)};
const points = report ? report.points : [];
const $ = (id) => document.getElementById(id);
const add = (parent, tag, text, at = {}) => {
  const node = tag === 'svg' || tag === 'polyline' ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(at)) node.setAttribute(name, value);
  return parent.appendChild(node);
};
const shown = (value) => value === undefined ? '–' : value.toLocaleString('en', { maximumSignificantDigits: 3 });
const charts = [
  ['Answers and failures a second', [['good', '#16794c', (p) => p.perSecond], ['failed', '#b3261e', (p) => p.perSecond * p.failed / Math.max(1, p.requests - p.failed)]]],
  ['Milliseconds', [['p50', '#1f6fb2', (p) => p.latency?.p50], ['p99', '#8a5a00', (p) => p.latency?.p99]]],
  ['Users', [['users', '#5b3fa0', (p) => p.users]]],
];
function figures(row, users, failed) {
  $('figures').replaceChildren();
  for (const [name, value] of [['users', users], ['per second', row?.perSecond], ['p50 ms', row?.latency?.p50], ['p99 ms', row?.latency?.p99], ['failed', failed]]) {
    const box = add($('figures'), 'div');
    add(box, 'dt', name);
    add(box, 'dd', shown(value), { 'data-figure': name });
  }
}
function draw() {
  const last = points.at(-1);
  figures(last, last?.users, points.reduce((sum, p) => sum + p.failed, 0));
  $('charts').replaceChildren();
  for (const [title, lines] of charts) {
    const top = Math.max(1, ...lines.flatMap(([, , of]) => points.map((p) => of(p) ?? 0)));
    const head = add($('charts'), 'h2', title + ', up to ' + shown(top) + ': ');
    const svg = add($('charts'), 'svg', undefined, { viewBox: '0 0 100 100', preserveAspectRatio: 'none', role: 'img', 'aria-label': title });
    for (const [name, color, of] of lines) {
      add(head, 'b', name + ' ', { style: 'color:' + color });
      const path = points.filter((p) => of(p) !== undefined).map((p) => (100 * p.at / last.at).toFixed(2) + ',' + (98 - 96 * of(p) / top).toFixed(2));
      add(svg, 'polyline', undefined, { points: path.join(' '), stroke: color });
    }
  }
}
function finish({ verdict, reasons, rows, total, users }) {
  figures(total, users.most, total.failed);
  $('verdict').textContent = verdict;
  $('verdict').className = verdict;
  for (const reason of reasons) add($('reasons'), 'li', reason);
  const cells = (tag, values) => { const row = add($('rows'), 'tr'); for (const value of values) add(row, tag, value); };
  cells('th', ['request', 'requests', 'failed', 'good a second', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms', 'failures']);
  for (const row of [...rows, total]) {
    const times = ['p50', 'p95', 'p99', 'max'].map((it) => shown(row.latency?.[it]));
    cells('td', [row.name, row.requests, row.failed, shown(row.perSecond), ...times, row.failures.map((it) => it.join(' ')).join(', ')]);
  }
}
draw();
if (report) finish(report);
else {
  const events = new EventSource('/events');
  events.addEventListener('open', () => points.splice(0));
  events.addEventListener('point', ({ data }) => { points.push(JSON.parse(data)); draw(); });
  events.addEventListener('report', ({ data }) => { events.close(); finish(JSON.parse(data)); });
}
</script>
`;
