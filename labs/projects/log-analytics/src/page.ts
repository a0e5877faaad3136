/** The live page. It reads the NDJSON stream of `/live`, and takes all that it is told for text. */
export const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log analytics</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; --ok: light-dark(#2f6f9f, #6cb0e0); --bad: light-dark(#b3261e, #ff8a80); --soft: #8883; --word: light-dark(#555, #bbb); }
  body { font: 1rem/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 64rem; padding: 1rem; }
  h1 { font-size: 1.25rem; margin: 0; } h2 { font-size: 1rem; margin: 0 0 .5rem; }
  header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; justify-content: space-between; }
  #alert { font-weight: 600; padding: .4rem .7rem; border-radius: .4rem; background: var(--soft); margin: .75rem 0; border-left: .4rem solid var(--ok); }
  #alert.firing { border-color: var(--bad); color: var(--bad); }
  dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.75rem, 1fr)); gap: .75rem 1.5rem; margin: 1rem 0; } dl > :last-child { grid-column: 1 / -1; }
  dt { color: var(--word); font-size: .875rem; } dd { margin: 0; font-size: 1.25rem; white-space: nowrap; font-weight: 600; font-variant-numeric: tabular-nums; }
  .bars { display: flex; align-items: flex-end; gap: 2px; height: 8rem; border-bottom: 1px solid var(--word); }
  .bars > i { flex: 1; min-width: 1px; max-width: 2.5rem; display: flex; flex-direction: column; justify-content: flex-end; height: 100%; }
  .bars b { display: block; background: var(--ok); } .bars b.bad { background: var(--bad); } .bars .open b { opacity: .5; }
  .scale { display: flex; gap: .75rem; justify-content: space-between; color: var(--word); font-size: .875rem; margin: .25rem 0 1.25rem; }
  main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1.25rem 2rem; }
  section { min-width: 0; } table { border-collapse: collapse; width: 100%; table-layout: fixed; font-size: .9rem; }
  th { text-align: left; font-weight: normal; color: var(--word); } th, td { padding: .2rem .4rem .2rem 0; border-bottom: 1px solid var(--soft); overflow-wrap: anywhere; vertical-align: top; }
  .n { text-align: right; font-variant-numeric: tabular-nums; width: 5.5rem; } .w { width: 6rem; }
</style>
<header><h1>The counter, live</h1><span id="state" role="status">connecting …</span></header>
<p id="alert" role="alert">No alert.</p>
<dl>
  <div><dt>lines counted</dt><dd id="counted">–</dd></div>
  <div><dt>put aside: late</dt><dd id="late">–</dd></div>
  <div><dt>no lines</dt><dd id="malformed">–</dd></div>
  <div><dt>from the future</dt><dd id="future">–</dd></div>
  <div><dt>sent again</dt><dd id="repeated">–</dd></div>
  <div><dt>calls that wait</dt><dd id="waiting">–</dd></div>
  <div><dt>p50 · p95 · p99 ms</dt><dd id="latency">–</dd></div>
</dl>
<h2>Lines in each window, errors on top</h2>
<div class="bars" id="bars" role="img" aria-label="no window yet"></div>
<div class="scale"><span id="from"></span><span id="most"></span><span id="to"></span></div>
<main>
  <section><h2 id="h1">Most asked for</h2><table aria-labelledby="h1"><thead><tr><th>path<th class="n">at most<th class="n">at least<tbody id="top"></table></section>
  <section><h2 id="h2">Sources</h2><table aria-labelledby="h2"><thead><tr><th>name<th class="n">lines<th class="n">missing<th class="n">behind<tbody id="sources"></table></section>
  <section><h2 id="h3">Put aside last</h2><table aria-labelledby="h3"><thead><tr><th class="w">why<th class="w">source<th>line<tbody id="aside"></table></section>
  <section><h2 id="h4">Alerts</h2><table aria-labelledby="h4"><thead><tr><th>rule<th class="w">change<th>window<tbody id="alerts"></table></section>
</main>
<script type="module">
  const at = (id) => document.getElementById(id);
  const say = (id, text) => { if (at(id).textContent !== String(text)) at(id).textContent = text; };
  const number = (value) => value.toLocaleString('en');
  const ms = (value) => (value === undefined ? '–' : value.toFixed(value < 10 ? 1 : 0));
  const clock = (value) => new Date(value).toLocaleTimeString('en-GB');
  function rows(id, list) {
    at(id).replaceChildren(...list.map((cells) => {
      const row = document.createElement('tr');
      for (const cell of cells) {
        const td = row.insertCell();
        td.textContent = typeof cell === 'number' ? number(cell) : cell;
        if (typeof cell === 'number') td.className = 'n';
      }
      return row;
    }));
  }
  function bars(windows) {
    const most = Math.max(1, ...windows.map(({ lines }) => lines));
    at('bars').replaceChildren(...windows.map(({ start, closed, lines, errors, p95 }) => {
      const bar = document.createElement('i');
      if (!closed) bar.className = 'open';
      bar.title = clock(start) + ': ' + number(lines) + ' lines, ' + number(errors) + ' errors, p95 ' + ms(p95) + ' ms' + (closed ? '' : ', still open');
      for (const [count, name] of [[errors, 'bad'], [lines - errors, '']]) {
        const part = document.createElement('b');
        part.className = name;
        part.style.height = (100 * count) / most + '%';
        bar.append(part);
      }
      return bar;
    }));
    const [first, last] = [windows[0], windows.at(-1)];
    const sum = (of) => number(windows.reduce((total, it) => total + it[of], 0));
    if (!first) return;
    at('bars').ariaLabel = windows.length + ' windows from ' + clock(first.start) + ' to ' + clock(last.start) + ': ' + sum('lines') + ' lines, ' + sum('errors') + ' errors';
    say('from', clock(first.start));
    say('most', 'most ' + number(most) + ' · pale: open');
    say('to', clock(last.start));
  }
  function show({ windowMs, counts, windows, latency, top, sources, aside, alerts, firing, waiting, at: taken }) {
    for (const [name, count] of Object.entries(counts)) say(name, number(count));
    say('latency', [latency.p50, latency.p95, latency.p99].map(ms).join(' · '));
    say('waiting', number(waiting));
    at('alert').className = firing.length > 0 ? 'firing' : '';
    say('alert', firing.length > 0 ? '⚠ ' + firing.map(({ rule, since }) => rule + (since === undefined ? '' : ' since ' + clock(since))).join(', ') : 'No alert.');
    bars(windows);
    rows('top', top.map(({ key, count, error }) => [key, count, count - error]));
    rows('sources', sources.map(({ source, next, missing, behindMs }) => [source, next - missing, missing, behindMs === undefined ? '–' : (behindMs / 1000).toFixed(1) + ' s']));
    for (const cell of at('sources').querySelectorAll('td:last-child')) cell.className = 'n';
    rows('aside', aside.map(({ reason, source, text }) => [reason, source, text.slice(0, 200)]));
    rows('alerts', alerts.map(({ rule, change, start }) => [rule, change, clock(start)]));
    // Whoever connects again is told the newest view again, which may be an old one.
    if (taken === news.taken) return;
    news = { taken, heard: performance.now() };
    say('state', 'live, windows of ' + windowMs / 1000 + ' s');
  }
  let news = { taken: undefined, heard: performance.now() };
  setInterval(() => {
    if (performance.now() - news.heard > 5000) say('state', news.taken === undefined ? 'no news yet' : 'no news since ' + clock(news.taken));
  }, 1000);
  async function watch() {
    const response = await fetch('/live');
    if (!response.ok) throw new Error(response.status);
    let rest = '';
    for (const reader = response.body.pipeThrough(new TextDecoderStream()).getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split('\\n');
      rest = lines.pop();
      // Of what has come meanwhile the newest is enough.
      if (lines.length > 0) show(JSON.parse(lines.at(-1)));
    }
  }
  for (;;) {
    await watch().catch(() => {});
    if (performance.now() - news.heard < 5000) say('state', 'no connection; trying again');
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
</script>
</html>
`;
