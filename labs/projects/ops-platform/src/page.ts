import { createHash } from 'node:crypto';

const STYLE = `
  :root { color-scheme: light dark; --line: light-dark(#d4d4d8, #3f3f46); --soft: light-dark(#f4f4f5, #27272a);
    --ok: light-dark(#15803d, #4ade80); --changed: light-dark(#1d4ed8, #93c5fd); --failed: light-dark(#b91c1c, #fca5a5);
    --unknown: light-dark(#a21caf, #f0abfc); --busy: light-dark(#a16207, #fde047); --rest: light-dark(#52525b, #a1a1aa); }
  body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 64rem; padding: 1rem; }
  h1 { font-size: 1.25rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
  input, select, button { font: inherit; padding: .3rem .6rem; max-width: 100%; box-sizing: border-box; }
  form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; } label { display: grid; } label.row { display: flex; gap: .4rem; }
  ul { list-style: none; padding: 0; margin: 0; } #hosts { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .5rem; }
  #hosts li { border: 1px solid var(--line); border-left: .4rem solid var(--c, var(--rest)); border-radius: .25rem; padding: .3rem .5rem; overflow-wrap: anywhere; }
  small { color: var(--rest); display: block; } .state { color: var(--c, var(--rest)); font-weight: 600; }
  .ok, .done { --c: var(--ok); } .changed { --c: var(--changed); } .failed, .aborted { --c: var(--failed); } .unknown { --c: var(--unknown); }
  .running, .queued, .cancelling { --c: var(--busy); }
  #runs > li { border: 1px solid var(--line); border-radius: .25rem; padding: .5rem .75rem; margin-bottom: .5rem; }
  .head { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: baseline; } .head button { margin-left: auto; }
  .bar { display: flex; height: .6rem; border-radius: .3rem; overflow: hidden; background: var(--soft); margin: .4rem 0; } .bar span { background: var(--c, var(--line)); }
  #said:not(:empty) { position: sticky; top: 0; margin: 0; padding: .4rem .6rem; background: var(--soft); border-left: .4rem solid var(--changed); }
  dl { margin: .5rem 0; } dt { font-weight: 600; margin-top: .4rem; overflow-wrap: anywhere; } dd { margin: 0 0 0 1rem; overflow-wrap: anywhere; }
  pre { background: var(--soft); padding: .5rem; margin: .25rem 0; overflow: auto; max-height: 16rem; white-space: pre-wrap; overflow-wrap: anywhere; }
  [hidden] { display: none !important; }
`;

const SCRIPT = `
  const at = (id) => document.getElementById(id);
  // What hosts and programs say is text, never markup.
  const make = (tag, className, ...parts) => {
    const element = document.createElement(tag);
    element.className = className;
    element.append(...parts);
    return element;
  };
  let token = sessionStorage.getItem('token') ?? '';
  const call = (method, path, body) => fetch(path, {
    method,
    headers: { authorization: 'Bearer ' + token, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const say = (text) => { at('said').textContent = text; };
  async function ask(path, body) {
    try {
      const response = await call('POST', path, body);
      const answer = await response.json();
      if (response.ok) return answer;
      say(answer.message ?? 'That did not work: ' + response.status);
    } catch { say('No answer: try again'); }
  }
  const sign = { ok: '✓', changed: '±', failed: '✗', unknown: '?', skipped: '–', waiting: '…', queued: '…', running: '▸' };
  const seen = (ms) => ms === undefined ? 'never seen' : ms < 10000 ? 'here' : 'silent for ' + Math.round(ms / 1000) + ' s';
  function fillSelect(select, names) {
    if (JSON.stringify([...select.options].map((it) => it.value)) === JSON.stringify(names)) return;
    const chosen = select.value;
    select.replaceChildren(...names.map((name) => new Option(name)));
    if (names.includes(chosen)) select.value = chosen;
  }
  const shown = new Map();
  function showRun(run) {
    let it = shown.get(run.id);
    if (!it) {
      const cancel = make('button', '', 'Cancel');
      cancel.setAttribute('aria-label', 'Cancel ' + run.runbook);
      cancel.addEventListener('click', async () => { if (await ask('/runs/' + run.id + '/cancel')) say('Cancelled: what runs is ended'); });
      it = { text: '', stale: true, reading: false, cancel, words: make('span', ''), bar: make('div', 'bar'), counts: make('small', ''), list: make('dl', '') };
      it.details = make('details', '', make('summary', '', 'Hosts'), it.list);
      it.details.addEventListener('toggle', () => read(it, run.id));
      it.element = make('li', '', make('div', 'head', it.words, cancel), it.bar, it.counts, it.details);
      shown.set(run.id, it);
    }
    const text = JSON.stringify(run);
    it.stale ||= text !== it.text || run.state === 'running' || run.state === 'cancelling';
    read(it, run.id);
    if (text === it.text) return it.element;
    it.text = text;
    it.words.replaceChildren(make('strong', '', run.runbook), (run.check ? ' (check only)' : '') + ' by ' + run.actor + ': ', make('span', 'state ' + run.state, run.state));
    it.cancel.hidden = run.state !== 'running';
    const groups = Object.entries(Object.groupBy(run.jobs, (job) => job.state));
    it.counts.textContent = groups.map(([state, jobs]) => jobs.length + ' ' + state).join(', ');
    it.bar.replaceChildren(...groups.map(([state, jobs]) => {
      const part = make('span', state);
      part.style.flex = String(jobs.length);
      return part;
    }));
    return it.element;
  }
  // What programs say is much, and is not in the live view: it is asked for while somebody reads it.
  async function read(it, id) {
    if (!it.details.open || !it.stale || it.reading) return;
    it.reading = true;
    it.stale = false;
    try {
      const response = await call('GET', '/runs/' + id);
      if (response.ok) list(it, await response.json());
    } catch { it.stale = true; }
    it.reading = false;
  }
  function list(it, run) {
    it.list.replaceChildren(...run.jobs.flatMap((job) => [
      make('dt', '', job.host + ' ', make('span', 'state ' + job.state, sign[job.state] + ' ' + job.state)),
      ...job.reports.map((report) => make('dd', '', make('span', 'state ' + report.state, sign[report.state] + ' ' + report.name), report.note ? ': ' + report.note : '',
        ...(report.output ? [make('pre', '', report.output)] : []))),
    ]));
  }
  function show({ hosts, runbooks, runs }) {
    const last = new Map();
    for (const run of runs.toReversed()) for (const job of run.jobs) last.set(job.host, job.state);
    at('hosts').replaceChildren(...hosts.map(({ name, seenMs }) => {
      const state = last.get(name) ?? 'waiting';
      return make('li', state, name, make('small', '', seen(seenMs)), make('span', 'state', sign[state] + ' ' + state));
    }));
    fillSelect(at('runbook'), runbooks);
    fillSelect(at('target'), ['all', ...hosts.map(({ name }) => name)]);
    const elements = runs.map(showRun);
    elements.forEach((element, n) => { if (at('runs').children[n] !== element) at('runs').insertBefore(element, at('runs').children[n] ?? null); });
    for (const [id, { element }] of shown) if (!elements.includes(element)) { element.remove(); shown.delete(id); }
  }
  async function watch() {
    const response = await call('GET', '/live');
    if (response.status === 401 || response.status === 403) {
      sessionStorage.removeItem('token');
      token = '';
      say('This token opens nothing here');
    }
    if (!response.ok) throw new Error(response.status);
    at('door').hidden = true;
    at('office').hidden = false;
    let rest = '';
    for (const reader = response.body.pipeThrough(new TextDecoderStream()).getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split('\\n');
      rest = lines.pop();
      for (const line of lines) show(JSON.parse(line));
    }
  }
  async function stay() {
    while (token) {
      await watch().catch(() => {});
      if (token) await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    at('door').hidden = false;
    at('office').hidden = true;
  }
  at('door').addEventListener('submit', (event) => {
    event.preventDefault();
    token = at('token').value.trim();
    at('token').value = '';
    sessionStorage.setItem('token', token);
    say('');
    stay();
  });
  at('start').addEventListener('submit', async (event) => {
    event.preventDefault();
    const body = { runbook: at('runbook').value, target: at('target').value, check: at('check').checked };
    if (await ask('/runs', body)) say('Started: ' + body.runbook + ' on ' + body.target);
  });
  at('verify').addEventListener('click', async () => {
    const said = await ask('/audit/verify');
    if (said) say(said.intact ? 'The log is intact: ' + said.seq + ' entries, the last one is ' + said.hash.slice(0, 12) : 'The log was tampered with at entry ' + said.seq + ': ' + said.why);
  });
  stay();
`;

const digestOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** No script but its own, which makes text of whatever hosts say. */
export const CONTENT_SECURITY_POLICY = `default-src 'none'; script-src ${digestOf(SCRIPT)}; style-src ${digestOf(STYLE)}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** Hosts, runs and the log, live. It reads the NDJSON stream of `/live` with the token of whoever looks. */
export const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Head office</title>
<style>${STYLE}</style>
<h1>Head office</h1>
<p id="said" role="status"></p>
<form id="door" hidden><label>Your token <input id="token" type="password" required autocomplete="off"></label><button>Come in</button></form>
<main id="office" hidden>
  <h2>Hosts</h2>
  <ul id="hosts"></ul>
  <h2>Start a run</h2>
  <form id="start">
    <label>Runbook <select id="runbook" required></select></label>
    <label>On <select id="target"></select></label>
    <label class="row"><input id="check" type="checkbox" checked> Check only</label>
    <button>Start</button>
  </form>
  <h2>Runs</h2>
  <ul id="runs"></ul>
  <h2>Log</h2>
  <button id="verify">Verify the log</button>
</main>
<script type="module">${SCRIPT}</script>
</html>
`;
