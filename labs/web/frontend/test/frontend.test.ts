import { outcome, random, until } from '@shared/testkit';
import { describe, expect, test, vi } from 'vitest';
import {
  type Found,
  fieldErrors,
  IN_FLIGHT,
  nextOf,
  OfflineError,
  ProblemError,
  pieces,
  RateLimitedError,
  readProblem,
  Search,
  Session,
  SignedOutError,
  SlowServerError,
  Submission,
  signed,
  store,
} from '#lab';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const turn = () => new Promise((resolve) => setTimeout(resolve, 2));

/** A server in our hand: each question waits until it is answered. */
function questions<Item>() {
  const asked: {
    readonly query: string;
    readonly cursor: string | undefined;
    readonly signal: AbortSignal;
    readonly answer: (items: readonly Item[], next?: string) => void;
    readonly fail: (error: unknown) => void;
  }[] = [];
  const find = (query: string, cursor: string | undefined, signal: AbortSignal) => {
    const { promise, resolve, reject } = Promise.withResolvers<Found<Item>>();
    asked.push({ query, cursor, signal, answer: (items, next) => resolve({ items, next }), fail: reject });
    return promise;
  };
  const nth = async (place: number) => {
    await until(() => asked.length > place, { what: `question ${place + 1} to be asked`, timeoutMs: 1000 });
    const it = asked[place];
    if (!it) throw new Error('unreachable');
    return it;
  };
  return { asked, find, nth };
}

const problem = (status: number, errors: readonly { pointer?: string; detail: string }[] = [], detail?: string) =>
  new ProblemError(status, readProblem({ type: 'about:blank', title: 'Refused', detail, errors }));

describe('a shop on an API', () => {
  // ── core ──

  test('the answer to the last question is shown, whichever comes last', async () => {
    const { find, nth } = questions<string>();
    const search = new Search({ find, restMs: 0 });
    search.type('d');
    const first = await nth(0);
    search.type('dune');
    const second = await nth(1);
    expect(search.state.get(), 'while it is asked').toMatchObject({ query: 'dune', status: 'searching' });
    second.answer(['Dune']);
    await until(() => search.state.get().status === 'found', { what: 'the answer to be shown' });
    first.answer(['Dracula', 'Dune']);
    await turn();
    expect(search.state.get(), 'after the late answer to "d"').toMatchObject({ of: 'dune', items: ['Dune'] });
    search.type('dunes');
    const third = await nth(2);
    search.type('dune');
    (await nth(3)).answer(['Dune']);
    await until(() => search.state.get().status === 'found', { what: 'the answer to be shown' });
    third.fail(new Error('late'));
    await turn();
    expect(search.state.get(), 'after the late failure of "dunes"').toMatchObject({ status: 'found', items: ['Dune'] });
  });

  test('a question that nobody waits for is given up; who comes back asks anew', async () => {
    const { asked, find, nth } = questions<string>();
    const search = new Search({ find, restMs: 0 });
    search.type('d');
    const first = await nth(0);
    search.type('du');
    expect(first.signal.aborted, 'the signal of "d", once "du" is typed').toBe(true);
    search.type('dune');
    const last = await nth(1);
    expect(last.query, 'asked at one go of keys').toBe('dune');
    search.stop();
    expect(last.signal.aborted, 'the signal of "dune", once the page is left').toBe(true);
    last.answer(['Dune']);
    search.type('emma');
    search.stop();
    await turn();
    expect([asked.length, search.state.get().items], 'asked and shown after the end').toEqual([2, []]);
    search.type('emma');
    (await nth(2)).answer(['Emma']);
    await until(() => search.state.get().status === 'found', { what: 'the page that is back to show an answer' });
    expect(search.state.get().items, 'shown to who came back').toEqual(['Emma']);
  });

  test('a double click is one order', async () => {
    let sent = 0;
    const { promise, resolve } = Promise.withResolvers<string>();
    const order = new Submission<{ copies: number }, string>({
      send: () => {
        sent++;
        return promise;
      },
    });
    const clicks = Promise.allSettled([order.submit({ copies: 1 }), order.submit({ copies: 1 })]);
    await turn();
    const third = outcome(order.submit({ copies: 1 }));
    expect([sent, order.state.get().status], 'sent by three clicks').toEqual([1, 'sending']);
    resolve('order 7');
    await Promise.all([clicks, third]);
    expect([sent, order.state.get()], 'sent, and the state at its end').toMatchObject([
      1,
      { status: 'sent', result: 'order 7' },
    ]);
  });

  test('what is tried again keeps its key until its answer is known; another order has another', async () => {
    const keys: string[] = [];
    const answers: unknown[] = [];
    const order = new Submission<{ copies: number }, string>({
      send: async (_, key) => {
        keys.push(key);
        const next = answers.shift();
        if (next !== undefined) throw next;
        return 'order 7';
      },
    });
    const tried = async (copies: number, answer?: unknown) => {
      answers.push(answer);
      await order.submit({ copies });
      return keys.at(-1);
    };
    const lost = await tried(1, new SlowServerError(8000));
    expect(order.state.get(), 'after a timeout').toMatchObject({ status: 'failed' });
    expect(await tried(1, new OfflineError(undefined)), 'the key of the second try').toBe(lost);
    expect(await tried(2, problem(500)), 'the key while nobody knows, the form having changed').toBe(lost);
    expect(await tried(2), 'the key of the fourth try').toBe(lost);
    const refused = await tried(2, problem(422));
    expect(refused, 'the key of the order after one that was taken').not.toBe(lost);
    const inFlight = await tried(2, new ProblemError(409, readProblem({ type: IN_FLIGHT })));
    expect(inFlight, 'the key of an order after one that was refused').not.toBe(refused);
    expect(await tried(2), 'the key of what is still being worked on').toBe(inFlight);
    expect(new Set(keys).size, `keys of ${keys.length} requests`).toBe(3);
  });

  test('a refusal stands at its field, and what belongs to no field is not lost', () => {
    const form = { copies: '/lines/0/copies', email: '/contact~1email', note: '/ä' };
    const { fields, rest } = fieldErrors(
      problem(422, [
        { pointer: '#/lines/0/copies', detail: 'at least 1' },
        { pointer: '/contact~1email', detail: 'no address' },
        { pointer: '#/contact~1email', detail: 'too long' },
        { pointer: '#/%C3%A4', detail: 'not this' },
        { pointer: '/lines/1/copies', detail: 'no such line here' },
        { detail: 'of no field' },
      ]),
      form,
    );
    expect(Object.fromEntries(fields), 'under the fields /lines/0/copies, /contact~1email and /ä').toEqual({
      copies: 'at least 1',
      email: 'no address too long',
      note: 'not this',
    });
    expect(rest, 'of no field of this form').toEqual(['no such line here', 'of no field']);
    expect(fieldErrors(problem(409, [], 'sold out'), form).rest, 'of a refusal without a list').toEqual(['sold out']);
  });

  test('an expired token is renewed once, however many requests find it', async () => {
    const { server, session, renewals } = tokens();
    const answers = await Promise.all(Array.from({ length: 5 }, (_, n) => server(`/${n}`)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect([renewals.length, session.token], 'renewals, and the token').toEqual([1, 'token 1']);
  });

  test('a refusal that comes after the renewal asks for no other', async () => {
    const { server, renewals, hold } = tokens();
    const release = hold('/slow');
    const slow = server('/slow');
    expect((await server('/quick')).status).toBe(200);
    release();
    expect((await slow).status, 'of the request whose 401 was slow').toBe(200);
    expect(renewals.length, 'renewals').toBe(1);
  });

  test('a text from outside is cut into pieces, and stays the text that it was', () => {
    expect(pieces('Dune, the dunes', 'DUNE')).toEqual([
      { text: 'Dune', hit: true },
      { text: ', the ', hit: false },
      { text: 'dune', hit: true },
      { text: 's', hit: false },
    ]);
    const rng = random(SEED);
    const alphabet = ['<', '>', '&', '"', 'a', 'A', '(', '[', '\\', '$', '.', '*', 'İ', 'ß', '书', '😀', ' '];
    const some = (most: number) => Array.from({ length: rng.int(0, most) }, () => rng.pick(alphabet)).join('');
    for (let n = 0; n < 300; n++) {
      const [text, query] = [some(12), some(3)];
      const cut = pieces(text, query);
      expect(cut.map((piece) => piece.text).join(''), `pieces of ${text} at ${query}, seed ${SEED}`).toBe(text);
      const hits = cut.filter(({ hit }) => hit).map((piece) => piece.text.toLowerCase());
      for (const hit of hits) expect(hit, `found in ${text}, seed ${SEED}`).toBe(query.trim().toLowerCase());
    }
  });

  // ── hardening ──

  test('a server that cannot be reached ends no session; one that refuses the renewal ends it, once', async () => {
    const { server, session, ended, failWith } = tokens();
    failWith(new OfflineError(undefined));
    expect((await outcome(server('/a'))).error, 'while the server is away').toBeInstanceOf(OfflineError);
    expect([session.token, ended.length]).toEqual(['expired', 0]);
    failWith(new SignedOutError());
    const errors = await Promise.all(['/a', '/b'].map(async (path) => (await outcome(server(path))).error));
    for (const error of errors) expect(error).toBeInstanceOf(SignedOutError);
    expect([session.token, ended.length]).toEqual([undefined, 1]);
    expect((await outcome(server('/a'))).error, 'signed out').toBeInstanceOf(SignedOutError);
    failWith(undefined);
    expect((await outcome(session.renewed('expired'))).error).toBeInstanceOf(SignedOutError);
    const begins = new Session({ renew: async () => 'first' });
    expect([begins.token, await begins.renewed(undefined), begins.token]).toEqual([undefined, 'first', 'first']);
  });

  test('who signs out while the token is renewed stays signed out', async () => {
    const { server, session, ended, holdRenewal } = tokens();
    const release = holdRenewal();
    const waits = outcome(server('/a'));
    await turn();
    session.end();
    release();
    expect((await waits).error).toBeInstanceOf(SignedOutError);
    expect([session.token, ended.length]).toEqual([undefined, 1]);
  });

  test('a late refusal does not end a session that has gone on: each token that took its place is tried', async () => {
    const { server, session, renewals, ended, hold, holdRenewal, expire } = tokens();
    const release = hold('/slow');
    const slow = server('/slow');
    await server('/quick');
    expire();
    release();
    expect([(await slow).status, session.token, renewals.length], 'the token in its place expired too').toEqual([
      200,
      'token 2',
      2,
    ]);
    // Renewed once more; that one is refused slowly, and meanwhile renewed for another.
    expire();
    const releaseRenewal = holdRenewal();
    const second = server('/slow');
    await turn();
    const releaseAgain = hold('/slow');
    expire();
    releaseRenewal();
    await until(() => session.token === 'token 3', { what: 'the third token' });
    expect((await server('/quick')).status).toBe(200);
    releaseAgain();
    expect([(await second).status, session.token, ended.length]).toEqual([200, 'token 4', 0]);
    const sent: unknown[] = [];
    const fetch = async () => {
      sent.push(1);
      return Response.json({}, { status: 401 });
    };
    const foreign = { token: 'a', renewed: async () => `b${sent.length}`, end: () => {} };
    expect((await outcome(signed(foreign, { fetch })(new Request('http://shop')))).error).toBeInstanceOf(ProblemError);
    expect(sent.length, 'requests of one call, whatever its session answers').toBe(3);
  });

  test('who goes away while the token is renewed gets his own reason, and the others their answer', async () => {
    const { server, holdRenewal } = tokens();
    const release = holdRenewal();
    const away = new AbortController();
    const left = outcome(server('/a', away.signal));
    const stays = server('/b');
    await turn();
    away.abort(new Error('left the page'));
    expect((await left).error).toMatchObject({ message: 'left the page' });
    release();
    expect((await stays).status).toBe(200);
  });

  test('a renewed token that is refused too signs out, after one renewal', async () => {
    const { server, session, renewals, refuseAll } = tokens();
    refuseAll();
    expect((await outcome(server('/a'))).error).toBeInstanceOf(SignedOutError);
    expect([renewals.length, session.token]).toEqual([1, undefined]);
  });

  test('what failed can be asked again, and the next page comes behind the first', async () => {
    const { asked, find, nth } = questions<string>();
    const search = new Search({ find, restMs: 0 });
    await search.retry();
    await search.more();
    search.type('d');
    (await nth(0)).fail(new OfflineError(undefined));
    await until(() => search.state.get().status === 'failed', { what: 'the failure to be shown' });
    void search.retry();
    (await nth(1)).answer(['Dracula'], 'page 2');
    await until(() => search.state.get().status === 'found', { what: 'the first page' });
    let ended = false;
    const more = search.more().finally(() => {
      ended = true;
    });
    await search.more();
    await turn();
    expect(ended, 'whether more() has ended before its answer').toBe(false);
    (await nth(2)).fail(new SlowServerError(1));
    await more;
    expect(search.state.get(), 'shown beside the failure').toMatchObject({ status: 'failed', items: ['Dracula'] });
    void search.retry();
    (await nth(3)).answer(['Dune']);
    await until(() => search.state.get().status === 'found', { what: 'the second page' });
    expect(search.state.get()).toMatchObject({ items: ['Dracula', 'Dune'], next: undefined, failure: undefined });
    expect(asked.map(({ cursor }) => cursor)).toEqual([undefined, undefined, 'page 2', 'page 2']);
  });

  test('the next page of what was searched before does not come behind what is searched now', async () => {
    const { asked, find, nth } = questions<string>();
    const search = new Search({ find, restMs: 0 });
    search.type('d');
    (await nth(0)).answer(['Dracula'], 'page 2');
    await until(() => search.state.get().status === 'found', { what: 'the first page' });
    void search.more();
    const late = await nth(1);
    search.type('emma');
    late.answer(['Dune']);
    (await nth(2)).answer(['Emma']);
    await until(() => search.state.get().of === 'emma', { what: 'the answer' });
    expect(search.state.get().items).toEqual(['Emma']);
    search.type('d');
    (await nth(3)).answer(['Dracula'], 'page 2');
    await until(() => search.state.get().of === 'd', { what: 'the first page once more' });
    expect(nextOf(search.state.get())).toBe('page 2');
    search.type('emma');
    (await nth(4)).fail(new OfflineError(undefined));
    await until(() => search.state.get().status === 'failed', { what: 'the failure' });
    await search.more();
    expect([asked.length, nextOf(search.state.get())], 'asked for "emma", behind books for "d"').toEqual([
      5,
      undefined,
    ]);
  });

  test('who closes the form aborts what is sent; its late answer is not shown, nor does it end the next', async () => {
    const sent: { readonly signal: AbortSignal; readonly answer: (result: string) => void }[] = [];
    const order = new Submission<string, string>({
      send: (_, _key, signal) => {
        const { promise, resolve } = Promise.withResolvers<string>();
        sent.push({ signal, answer: resolve });
        return promise;
      },
    });
    const first = outcome(order.submit('a'));
    order.stop();
    expect([sent[0]?.signal.aborted, order.state.get().status]).toEqual([true, 'idle']);
    const second = outcome(order.submit('a'));
    sent[0]?.answer('late');
    await turn();
    const again = outcome(order.submit('a'));
    expect([sent.length, order.state.get().status]).toEqual([2, 'sending']);
    sent[1]?.answer('order 7');
    await Promise.all([first, second, again]);
    expect(order.state.get().result).toBe('order 7');
  });

  test('a second try that is refused before the books are asked keeps the key of the first', async () => {
    const wrongField = problem(422, [{ pointer: '/note', detail: 'too long' }]);
    for (const [refusal, keeps] of [
      [new RateLimitedError(1000), true],
      [new SignedOutError(), true],
      [wrongField, true],
      [problem(400), true],
      [problem(409, [], 'sold out'), false],
      [problem(422, [], 'this key stood for another order'), false],
    ] as const) {
      const keys: string[] = [];
      const answers: unknown[] = [new OfflineError(undefined), refusal];
      const order = new Submission<string, string>({
        send: async (_, key) => {
          keys.push(key);
          const next = answers.shift();
          if (next !== undefined) throw next;
          return 'order 7';
        },
      });
      for (const input of ['a', 'a, edited', 'b']) await order.submit(input);
      expect(keys[1], 'the key of the second try').toBe(keys[0]);
      expect(keys[2] === keys[0], `whether the third try has it, after "${String(refusal)}"`).toBe(keeps);
    }
  });

  test('a problem that is none, or is hostile, is read as far as it is text', () => {
    for (const value of [
      undefined,
      null,
      7,
      'text',
      [],
      { errors: 7 },
      { title: 7, detail: {}, errors: [7, null, {}] },
      { title: '', detail: ' ' },
    ]) {
      expect(readProblem(value), JSON.stringify(value)).toEqual({ type: 'about:blank', errors: [] });
    }
    const { fields, rest } = fieldErrors(problem(422, [{ pointer: '#/%E0%A4%A', detail: 'a' }]), { toString: '/x' });
    expect([fields.size, rest]).toEqual([0, ['a']]);
    for (const pointer of ['/toString', '/__proto__', '/items/0/x', '/', '~1', '#']) {
      expect(fieldErrors(problem(422, [{ pointer, detail: 'a' }]), { x: '/x' }), pointer).toMatchObject({
        rest: ['a'],
      });
    }
  });

  test('each listener hears of each change until it ends, and twice if it listens twice', () => {
    const value = store(1);
    const seen: number[] = [];
    const listen = () => void seen.push(value.get());
    const ends = [value.subscribe(listen), value.subscribe(listen)];
    value.set(2);
    ends[0]?.();
    value.set(3);
    ends[1]?.();
    value.set(4);
    expect([seen, value.get()]).toEqual([[2, 2, 3], 4]);
    const endsOther = value.subscribe(() => other());
    const other = value.subscribe(listen);
    value.set(5);
    endsOther();
    expect(seen, 'heard by who was ended by another').toEqual([2, 2, 3]);
  });

  test('what a page throws when it is told makes no failure of an order that is sent, nor of an end', async () => {
    const reported: (() => void)[] = [];
    using _ = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((work) => void reported.push(work));
    const broken = () => {
      throw new Error('a page that is broken');
    };
    const order = new Submission<string, string>({ send: async () => 'order 7' });
    order.state.subscribe(broken);
    await order.submit('a');
    expect(order.state.get()).toMatchObject({ status: 'sent', failure: undefined });
    const session = new Session({ renew: () => Promise.reject(new SignedOutError()), onEnd: broken });
    expect((await outcome(session.renewed(undefined))).error).toBeInstanceOf(SignedOutError);
    expect(reported.length, 'reported').toBe(3);
    for (const each of reported) expect(each).toThrow('a page that is broken');
  });
});

/** A session whose token has expired, and a server that knows the renewed one alone. */
function tokens() {
  const renewals: string[] = [];
  const ended: string[] = [];
  const held = new Map<string, Promise<void>>();
  let failure: unknown;
  let nothingIsGood = false;
  /** So many have expired. */
  let expired = 0;
  const session = new Session({
    token: 'expired',
    renew: async () => {
      renewals.push('renewal');
      await held.get('renewal');
      await turn();
      if (failure !== undefined) throw failure;
      return `token ${renewals.length}`;
    },
    onEnd: () => ended.push('ended'),
  });
  const ask = signed(session, {
    fetch: async (request) => {
      const { length } = renewals;
      const good =
        !nothingIsGood && length > expired && request.headers.get('authorization') === `Bearer token ${length}`;
      if (!good) await held.get(new URL(request.url).pathname);
      return Response.json({ status: good ? 200 : 401 }, { status: good ? 200 : 401 });
    },
  });
  const hold = (what: string) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    held.set(what, promise);
    return resolve;
  };
  return {
    session,
    renewals,
    ended,
    server: (path: string, signal?: AbortSignal) => ask(new Request(`http://shop${path}`, signal ? { signal } : {})),
    hold,
    holdRenewal: () => hold('renewal'),
    expire: () => {
      expired = renewals.length;
    },
    failWith: (error: unknown) => {
      failure = error;
    },
    refuseAll: () => {
      nothingIsGood = true;
    },
  };
}
