import { readFile, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { until } from '@shared/testkit';
import type { LabData, MapData, Message } from '@shared/web';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { lab, laws } from '../house.ts';
import { staying, type Web, web } from './pages.ts';

/** Its one line has no end. */
const flood = "for (let i = 0; i < 40; i++) process.stdout.write('x'.repeat(1e6));";
/** It leaves a process behind that holds on to what it printed to. */
const leaving = `import { spawn } from 'node:child_process';
spawn('sleep', ['30'], { stdio: ['ignore', 'inherit', 'inherit'], detached: true }).unref();
process.exit(0);
`;
const place = join(tmpdir(), `staying-${process.pid}.json`);
let pages: Web;
beforeAll(async () => {
  pages = await web(
    {
      'test/each.test.ts':
        "import { test } from 'vitest';\ntest.each(['null', '0'])('%s is remembered, too', () => {});\n",
      'examples/staying.ts': staying,
      'examples/flood.ts': flood,
      'examples/leaving.ts': leaving,
    },
    { STAYING: place },
  );
}, 60_000);
afterAll(() => pages[Symbol.asyncDispose]());

const origin = () => pages.url.slice(0, -1);
const get = async (path: string, headers: Readonly<Record<string, string>> = {}) =>
  fetch(`${pages.url}${path}`, { headers });
const post = (path: string, body: unknown, headers: Readonly<Record<string, string>> = { origin: origin() }) =>
  fetch(`${pages.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
const mapNow = async (): Promise<MapData> => JSON.parse(await (await get('api/map')).text());
const errorOf = async (response: Response): Promise<unknown> => JSON.parse(await response.text()).error;

/** With what `fetch` does not let one say: a host name of one's own, and what one wants it for. */
const plain = (path: string, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const asked = request(`${pages.url}${path}`, { headers }, (response) => {
      response.resume();
      resolve(response);
    });
    asked.once('error', reject);
    asked.end();
  });

async function start(body: unknown): Promise<string> {
  const response = await post('api/runs', body);
  expect(response.status).toBe(200);
  return String(JSON.parse(await response.text()).id);
}

interface Followed {
  readonly messages: readonly Message[];
  readonly ids: readonly number[];
  leave(): void;
  readonly ended: Promise<void>;
}

/** Reads a run's messages until they end, or until it is told to leave. */
async function follow(id: string, after?: number): Promise<Followed> {
  const stop = new AbortController();
  const response = await fetch(`${pages.url}api/runs/${id}/messages`, {
    signal: stop.signal,
    headers: after === undefined ? {} : { 'last-event-id': String(after) },
  });
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const messages: Message[] = [];
  const ids: number[] = [];
  let text = '';
  const read = async (): Promise<void> => {
    for await (const chunk of response.body ?? []) {
      text += new TextDecoder().decode(chunk);
      const parts = text.split('\n\n');
      text = parts.pop() ?? '';
      for (const part of parts) {
        ids.push(Number(/^id: (\d+)$/m.exec(part)?.[1]));
        const message: Message = JSON.parse(/^data: (.*)$/m.exec(part)?.[1] ?? '');
        messages.push(message);
        if (message.type === 'ended') return;
      }
    }
  };
  onTestFinished(() => stop.abort());
  return { messages, ids, leave: () => stop.abort(), ended: read().catch(() => {}) };
}

async function told(body: unknown): Promise<Followed> {
  const followed = await follow(await start(body));
  await followed.ended;
  return followed;
}

const lives = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => socket.destroy());
  });

/** A story that holds a Redis of its own until it is ended. */
async function stay(): Promise<{ id: string; followed: Followed; gone: () => Promise<boolean> }> {
  await writeFile(place, '');
  const id = await start({ kind: 'demo', lab: 'once', example: 'staying' });
  const followed = await follow(id);
  const { pid, url } = await until(async () => JSON.parse(await readFile(place, 'utf8')), { timeoutMs: 30_000 });
  const port = Number(new URL(url).port);
  expect([lives(pid), await answers(port)]).toEqual([true, true]);
  return { id, followed, gone: async () => !lives(pid) && !(await answers(port)) };
}

test('another host name, another origin and another site are refused, and start nothing', async () => {
  const port = new URL(pages.url).port;
  const hosts = ['evil.example', `evil.example:${port}`, '127.0.0.1', `127.0.0.2:${port}`, `localhost:${port}`];
  const asked = await Promise.all(hosts.map((host) => plain('api/map', { host })));
  expect(asked.map(({ statusCode }) => statusCode)).toEqual([403, 403, 403, 403, 200]);
  const run = { kind: 'demo', lab: 'once' };
  const foreign = [
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { origin: `http://127.0.0.1:${Number(port) + 1}` },
    { origin: `https://127.0.0.1:${port}` },
    { origin: origin(), 'sec-fetch-site': 'cross-site' },
    {},
  ];
  const refused = await Promise.all(foreign.map((headers) => post('api/runs', run, headers)));
  expect(refused.map(({ status }) => status)).toEqual(foreign.map(() => 403));
  expect((await get('api/map', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).status).toBe(403);
  expect((await get('api/map', { origin: 'http://evil.example' })).status).toBe(403);
  // A form can send this without asking.
  const form = await fetch(`${pages.url}api/runs`, {
    method: 'POST',
    body: JSON.stringify(run),
    headers: { origin: origin() },
  });
  expect(form.status).toBe(415);
  const index = await plain('', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' });
  expect([index.statusCode, index.headers['content-security-policy']]).toEqual([
    200,
    expect.stringContaining("frame-ancestors 'none'"),
  ]);
});

test('the map and a lab say what the command line says', async () => {
  const map = await mapNow();
  expect(map).toMatchObject({
    stages: [{ name: 'language', english: 'Language', chinese: '语言' }],
    labs: [{ name: 'once', title: 'Once 仅一次', coreLaws: 2, pitfalls: 2, missing: [], after: [] }],
  });
  const lab: LabData = JSON.parse(await (await get('api/labs/once')).text());
  expect(lab.laws).toEqual([
    { name: laws.sameResult, core: 0 },
    { name: laws.atMostOnce, core: 1 },
    { name: '%s is remembered, too', names: expect.stringMatching(/\.\+/) },
    { name: laws.sameError },
  ]);
  const [, pitfall] = lab.pitfalls;
  expect(pitfall).toMatchObject({ name: 'runs-each-time', caughtBy: laws.atMostOnce, flaw: /nothing/ });
  expect(pitfall?.source).not.toContain('Flaw');
  expect(pitfall?.diff).toEqual([
    { title: 'once', lines: expect.arrayContaining([{ sign: '+', text: '  return fn;' }]) },
  ]);
  expect(Object.keys(lab.files)[0]).toBe('src/index.ts');
  const none = await get('api/labs/..%2F..%2Fetc');
  expect([none.status, await errorOf(none)]).toEqual([400, expect.stringContaining('there is no lab')]);
});

test('a story comes as it is told, with its pictures; who comes late, or again, misses nothing', async () => {
  const { messages, ids } = await told({ kind: 'demo', lab: 'once', seed: 7 });
  const events = messages.flatMap((message) => (message.type === 'story' ? [message.event] : []));
  expect(events[0]).toMatchObject({ type: 'start', seed: 7 });
  expect(events.filter(({ type }) => type === 'verdict')).toHaveLength(2);
  expect(messages.find((message) => message.type === 'story' && message.event.type === 'bars')).toMatchObject({
    svg: expect.stringMatching(/^<svg /),
  });
  expect(messages.at(-1)).toMatchObject({ type: 'ended', code: 0 });
  expect(ids).toEqual(messages.map((_, place) => place));
  const id = await start({ kind: 'demo', lab: 'once' });
  const first = await follow(id);
  await first.ended;
  const again = await follow(id, 2);
  await again.ended;
  expect(again.messages).toEqual(first.messages.slice(3));
  // A connection ends with what it is there for, and who knows it all already is told to come no more.
  await (await get(`api/runs/${id}/messages`)).text();
  expect((await get(`api/runs/${id}/messages`, { 'last-event-id': '99' })).status).toBe(404);
});

test('a pitfall is judged by its law on the spot, with evidence; the reference by all laws', async () => {
  const caught = await told({ kind: 'suite', lab: 'once', pitfall: 'runs-each-time', law: laws.atMostOnce });
  expect(caught.messages).toEqual([
    {
      type: 'law',
      law: {
        name: laws.atMostOnce,
        state: 'failed',
        core: 1,
        ms: expect.any(Number),
        error: expect.stringMatching(/2.*1/s),
      },
    },
    { type: 'graded', problems: [], ms: expect.any(Number) },
    { type: 'ended', code: 0, stderr: expect.any(String) },
  ]);
  const whole = await told({ kind: 'suite', lab: 'once' });
  const states = whole.messages.flatMap((message) => (message.type === 'law' ? [message.law.state] : []));
  expect(states).toEqual(['passed', 'passed', 'passed', 'passed', 'passed']);
}, 60_000);

test('an attempt is graded as it is saved, and keys reach it', async () => {
  const id = await start({ kind: 'learn', lab: 'once' });
  const { messages, leave } = await follow(id);
  const page = (words: string) =>
    until(
      () =>
        messages.findLast(
          (message) => message.type === 'page' && stripVTControlCharacters(message.text).includes(words),
        ),
      {
        timeoutMs: 30_000,
        what: `a page with ${words}`,
      },
    );
  await page(laws.sameResult);
  expect((await post(`api/runs/${id}/keys`, { key: 'h' })).status).toBe(204);
  await page('What does the second caller get?');
  const wrong = await post(`api/runs/${id}/keys`, { key: 'rm -rf' });
  expect([wrong.status, await errorOf(wrong)]).toEqual([400, '"key" must be one of h, r, d, a']);
  await pages.house.write(
    'labs/language/once/attempt/index.ts',
    await readFile(join(pages.house.root, 'labs/language/once/src/once.ts'), 'utf8'),
  );
  await page('every core law holds');
  leave();
  const understood = async () => (await mapNow()).labs.find(({ progress }) => progress?.understood);
  expect((await until(understood)).progress?.core).toEqual({ green: 2, total: 2 });
}, 60_000);

test('a run ends with the last page that looks at it, or when it is stopped, and so do its servers', async () => {
  const seen = await stay();
  const other = await follow(seen.id);
  seen.followed.leave();
  // As long as one page looks, it goes on.
  await until(() => other.messages.length > 0);
  other.leave();
  await until(seen.gone, { timeoutMs: 20_000, what: 'the end of what nobody looks at' });
  const stopped = await stay();
  const answer = await fetch(`${pages.url}api/runs/${stopped.id}`, { method: 'DELETE', headers: { origin: origin() } });
  expect([answer.status, await stopped.gone()]).toEqual([204, true]);
  await stopped.followed.ended;
  expect(stopped.followed.messages.at(-1)?.type).toBe('ended');
}, 90_000);

test('what cannot be run is said: an unknown lab, example, pitfall or field, and one run too many', async () => {
  const wrong = [
    {},
    { kind: 'demo' },
    { kind: 'demo', lab: 'none' },
    { kind: 'demo', lab: 'once', example: '../demo' },
    { kind: 'demo', lab: 'once', seed: '1' },
    { kind: 'demo', lab: 'once', seed: 1e99 },
    { kind: 'suite', lab: 'once', pitfall: '../../src/index' },
    { kind: 'shell', lab: 'once' },
    [],
  ];
  const answers = await Promise.all(wrong.map((body) => post('api/runs', body)));
  expect(answers.map(({ status }) => status)).toEqual(wrong.map(() => 400));
  expect((await get('api/runs/none/messages')).status).toBe(404);
  expect((await post('api/runs/none/keys', { key: 'h' })).status).toBe(404);
  const ids = await Promise.all([1, 2, 3, 4].map(() => start({ kind: 'demo', lab: 'once', example: 'staying' })));
  const fifth = await post('api/runs', { kind: 'demo', lab: 'once' });
  expect([fifth.status, await errorOf(fifth)]).toEqual([429, expect.stringContaining('4 runs are under way')]);
  await Promise.all(
    ids.map((id) => fetch(`${pages.url}api/runs/${id}`, { method: 'DELETE', headers: { origin: origin() } })),
  );
  expect((await told({ kind: 'demo', lab: 'once' })).messages.at(-1)).toMatchObject({ code: 0 });
}, 90_000);

test('a program that tells without end, and one that leaves another behind, end no more than themselves', async () => {
  const { messages } = await told({ kind: 'demo', lab: 'once', example: 'flood' });
  expect(messages).toEqual([{ type: 'ended', code: null, stderr: expect.stringMatching(/32 MB.*SIGKILL/s) }]);
  expect((await told({ kind: 'demo', lab: 'once', example: 'leaving' })).messages).toMatchObject([{ code: 0 }]);
  expect((await get('api/map')).status).toBe(200);
}, 20_000);

test('what cannot be served or written is said at once', async () => {
  const { root } = pages.house;
  const { port } = new URL(pages.url);
  const wrong: [number, RegExp, string[]][] = [
    [1, /port \d+ is taken: name another/, ['--port', port]],
    [2, /from 0 .* to 65535/, ['--port', '99999']],
    [2, /whole number/, ['--port', '']],
    [2, /names are for --build/, ['once']],
    [1, /package.json can't be a folder of pages \(EEXIST\)/, ['--build', 'labs/language/once/package.json']],
    [1, /holds other things/, ['--build', 'labs']],
  ];
  const said = await Promise.all(wrong.map(([, , words]) => lab(root, ['web', ...words])));
  expect(said.map(({ code, err }) => [code, err])).toEqual(
    wrong.map(([code, words]) => [code, expect.stringMatching(words)]),
  );
}, 30_000);

test('a server that is killed leaves no story behind, and no server of a story', async () => {
  const { gone } = await stay();
  pages.kill();
  await until(gone, { timeoutMs: 20_000, what: 'the end of the orphans' });
}, 60_000);
