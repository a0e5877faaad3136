import { setImmediate as turn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { History, outcome, random } from '@shared/testkit';
import { expect, test } from 'vitest';
import {
  acquireAll,
  type ContextManager,
  chain,
  closing,
  contextManager,
  DisposedError,
  type Ending,
  ExitStack,
  entered,
  NotDisposableError,
  nullContext,
  ReentrantError,
  suppress,
  withContext,
  YieldError,
} from '#lab';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const boom = new Error('the body failed');
const jammed = new Error('the door is jammed');
const fail = (error: unknown) => (): never => {
  throw error;
};
/** A manager that notes its comings and goings, and answers what `answer` does. */
const locker = <A>(history: History, name: string, answer: (ending: Ending) => A): ContextManager<string, A> => ({
  enter() {
    history.record(`${name} opened`);
    return entered(name, async (ending) => {
      history.record(`${name}: ${ending.kind}`);
      await turn();
      return answer(ending);
    });
  },
});
const quiet = () => {};
/** An error as text, what it suppresses and its cause included. */
const told = (error: unknown): string => {
  if (error instanceof SuppressedError) return `(${told(error.error)} over ${told(error.suppressed)})`;
  if (!(error instanceof Error)) return inspect(error);
  return error.cause === undefined ? error.message : `${error.message} because of ${told(error.cause)}`;
};

// ── withContext ─────────────────────────────────────────────────────────────────────────────────────────────────────

test('what is entered is given back once the body has ended, by return or by throw', async () => {
  const history = new History();
  const returned = await outcome(
    withContext(locker(history, 'locker 1', quiet), async (name) => {
      await turn();
      history.record(`inside ${name}`);
      return 'my coat';
    }),
  );
  expect(history.ops).toEqual(['locker 1 opened', 'inside locker 1', 'locker 1: returned']);
  expect(returned).toEqual({ value: 'my coat', error: undefined });
  const threw = await outcome(
    withContext(locker(history, 'locker 2', quiet), async (name) => {
      await turn();
      history.record(`inside ${name}`);
      throw boom;
    }),
  );
  expect(threw.error).toBe(boom);
  expect(history.ops.slice(3)).toEqual(['locker 2 opened', 'inside locker 2', 'locker 2: threw']);
});

test('the manager sees the error of the body, and its "handled" ends it', async () => {
  const seen: unknown[] = [];
  const watching = <A>(answer: A): ContextManager<number, A> => ({
    enter: () =>
      entered(7, (ending) => {
        if (ending.kind === 'threw') seen.push(ending.error);
        return answer;
      }),
  });
  const thrown = await outcome(withContext(watching(undefined), fail(boom)));
  expect(thrown.error, 'nobody has handled it').toBe(boom);
  const handled = await outcome(withContext(watching('handled' as const), fail(boom)));
  expect(handled, 'the manager said "handled"').toEqual({ value: undefined, error: undefined });
  expect(seen).toEqual([boom, boom]);
});

test('when giving back fails too, both errors arrive', async () => {
  const history = new History();
  const both = await outcome(withContext(locker(history, 'locker 1', fail(jammed)), fail(boom)));
  expect(told(both.error), 'the newer error over the older one').toBe('(the door is jammed over the body failed)');
  const lone = await outcome(withContext(locker(history, 'locker 2', fail(jammed)), () => 'my coat'));
  expect(lone.error, 'an error that suppresses none comes as it is').toBe(jammed);
  const thrownOn = await outcome(withContext(locker(history, 'locker 3', fail(boom)), fail(boom)));
  expect(thrownOn.error, 'an exit that throws on what it was told adds nothing').toBe(boom);
});

test('an error that leads to the first one is passed on as it is', async () => {
  const translated = new Error('no such coat', { cause: new AggregateError([new Error('other'), boom]) });
  const exit = fail(translated);
  expect((await outcome(withContext({ enter: () => entered(1, exit) }, fail(boom)))).error).toBe(translated);
  const circle = new Error('a circle');
  circle.cause = circle;
  for (const [newer, older] of [
    [circle, boom],
    [jammed, undefined],
    [jammed, 'text'],
    [null, boom],
    [Object.create(null), boom],
  ]) {
    const chained = chain(newer, older);
    expect(chained, inspect(newer)).toBeInstanceOf(SuppressedError);
    expect(chained).toMatchObject({ error: newer, suppressed: older });
  }
});

test('an error that throws when it is looked at is kept, and stops no other exit', async () => {
  const unreadable = fail(new Error('not to be read'));
  const strange: Record<string, unknown> = {
    cause: Object.defineProperty(new Error('strange'), 'cause', { get: unreadable }),
    message: Object.defineProperty(new Error('strange'), 'message', { get: unreadable }),
    symbol: Object.assign(new Error(), { message: Symbol('strange') }),
    parts: Object.assign(new AggregateError([]), { errors: 7 }),
    text: { [inspect.custom]: unreadable },
    endless: new (class Endless extends Error {
      override get cause() {
        return new Endless('strange');
      }
    })(),
  };
  for (const [name, error] of Object.entries(strange)) {
    const given: string[] = [];
    const both = await outcome(
      withContext(new ExitStack(), (stack) => {
        stack.callback(() => given.push(name));
        stack.callback(fail(error));
        throw boom;
      }),
    );
    expect(given, 'the other exit').toEqual([name]);
    const { error: newer, suppressed: older } = Object(both.error);
    expect([newer === error, older === boom], name).toEqual([true, true]);
  }
});

test('throwing undefined is failing too', async () => {
  const history = new History();
  const promise = withContext(locker(history, 'locker 1', quiet), fail(undefined));
  await expect(promise.then(() => 'it returned')).rejects.toBeUndefined();
  const stack = new ExitStack();
  stack.push(({ kind }) => history.record(kind));
  stack.push(fail(undefined));
  await expect(stack.close().then(() => 'it returned')).rejects.toBeUndefined();
  expect(history.ops).toEqual(['locker 1 opened', 'locker 1: threw', 'threw']);
});

test('only the word "handled" handles', async () => {
  for (const answer of [true, 1, 'yes', {}, Promise.resolve(true)]) {
    const { error } = await outcome(withContext({ enter: () => entered(1, () => answer) }, fail(boom)));
    expect(error, inspect(answer)).toBe(boom);
    const stack = new ExitStack();
    stack.push(() => answer);
    expect((await outcome(withContext(stack, fail(boom)))).error, `in a stack: ${inspect(answer)}`).toBe(boom);
  }
  const truthy = () => Object('yes');
  expect((await outcome(withContext(suppress(truthy), fail(boom)))).error, 'suppress').toBe(boom);
});

test('what cannot be entered runs no body, and needs no exit', async () => {
  const ran: string[] = [];
  const { error } = await outcome(withContext({ enter: fail(boom) }, () => ran.push('the body')));
  expect(error).toBe(boom);
  await using stack = new ExitStack();
  expect((await outcome(stack.enterContext({ enter: fail(boom) }))).error).toBe(boom);
  expect(ran).toEqual([]);
});

test('giving back takes the time it takes, and its failure arrives', async () => {
  const history = new History();
  let stuck = false;
  const slow = async () => {
    await turn();
    history.record('given back');
    if (stuck) throw jammed;
  };
  const ways: (() => Promise<unknown>)[] = [
    () => withContext(closing({ close: slow }), quiet),
    () => withContext(closing('locker', slow), quiet),
    async () => {
      await using held = entered('locker', slow);
      expect(held.value).toBe('locker');
    },
    async () => {
      await using stack = new ExitStack();
      stack.callback(slow);
    },
    async () => {
      await using stack = new ExitStack();
      // A sync dispose that returns a promise: `using` would not wait for it, and its rejection would be nobody's.
      stack.use({ [Symbol.dispose]: slow });
    },
  ];
  for (const way of ways) {
    await outcome(way());
    history.record('gone on');
  }
  expect(history.ops).toEqual(ways.flatMap(() => ['given back', 'gone on']));
  stuck = true;
  for (const way of ways) expect((await outcome(way())).error, String(way)).toBe(jammed);
});

test('what is entered is given back once, whoever asks, and is out of reach from then on', async () => {
  const history = new History();
  const held = await locker(history, 'locker 1', () => 'thanks').enter();
  const first = held.exit({ kind: 'returned' });
  expect(() => held.value, 'while it is being given back').toThrow(DisposedError);
  await held[Symbol.asyncDispose]();
  expect(await held.exit({ kind: 'threw', error: boom })).toBe('thanks');
  expect(await first).toBe('thanks');
  expect(history.ops).toEqual(['locker 1 opened', 'locker 1: returned']);
});

test('an exit that waits for itself is refused, and does not hang', async () => {
  const held = entered(1, async (): Promise<unknown> => {
    await turn();
    return held.exit({ kind: 'unknown' });
  });
  expect((await outcome(held.exit({ kind: 'returned' }))).error).toBeInstanceOf(ReentrantError);
  const outer = new ExitStack();
  const inner = new ExitStack();
  outer.use(inner);
  inner.callback(() => outer.close());
  expect((await outcome(outer.close())).error).toBeInstanceOf(ReentrantError);
  // What an exit has started, and what comes after it, is not inside of it any more.
  let later: Promise<void> | undefined;
  const stack = new ExitStack();
  stack.callback(() => {
    later = turn().then(() => stack.close());
  });
  await stack.close();
  expect((await outcome(later ?? Promise.reject(boom))).error).toBeUndefined();
});

// ── generators ──────────────────────────────────────────────────────────────────────────────────────────────────────

test("a generator is a manager: up to the yield it enters, and the body's error is thrown there", async () => {
  const history = new History();
  const borrow = contextManager(async function* (name: string) {
    history.record(`${name} opened`);
    try {
      yield name;
      history.record(`${name}: all is well`);
    } catch (error) {
      history.record(`${name}: ${told(error)}`);
      throw error;
    } finally {
      await turn();
      history.record(`${name} closed`);
    }
  });
  expect(await withContext(borrow('locker 1'), (name) => `in ${name}`)).toBe('in locker 1');
  expect((await outcome(withContext(borrow('locker 2'), fail(boom)))).error).toBe(boom);
  expect(history.ops).toEqual([
    'locker 1 opened',
    'locker 1: all is well',
    'locker 1 closed',
    'locker 2 opened',
    'locker 2: the body failed',
    'locker 2 closed',
  ]);
});

test('a generator that never yields is refused, and one that yields twice is closed', async () => {
  const history = new History();
  const empty = contextManager(async function* empty(): AsyncGenerator<string, void, void> {});
  const never = (await outcome(withContext(empty(), () => history.record('the body')))).error;
  expect(never).toBeInstanceOf(YieldError);
  expect(told(never)).toContain('did not yield');
  const twice = contextManager(async function* twice() {
    try {
      yield 'once';
      yield 'again';
    } finally {
      await turn();
      history.record('closed');
    }
  });
  const { error } = await outcome(withContext(twice(), (value) => history.record(value)));
  expect(error).toBeInstanceOf(YieldError);
  expect(told(error)).toContain('twice');
  expect(history.ops).toEqual(['once', 'closed']);
});

test('await using cannot tell how its block ended: only the finally of a generator runs', async () => {
  const history = new History();
  const account = contextManager(async function* () {
    try {
      yield 'account';
      history.record('committed');
    } finally {
      history.record('closed');
    }
  });
  await outcome(
    (async () => {
      await using held = await account().enter();
      history.record(held.value);
      throw boom;
    })(),
  );
  expect(history.ops, 'its block threw').toEqual(['account', 'closed']);
  await withContext(account(), () => history.record('withContext knows'));
  expect(history.ops.slice(2)).toEqual(['withContext knows', 'committed', 'closed']);
});

test('a generator that catches the error has not handled it before it says so', async () => {
  const tolerant = contextManager(function* (word: string) {
    try {
      yield;
    } catch {
      return word;
    }
    return '';
  });
  expect((await outcome(withContext(tolerant('sorry'), fail(boom)))).error).toBe(boom);
  expect(await outcome(withContext(tolerant('handled'), fail(boom)))).toEqual({ value: undefined, error: undefined });
});

test('a generator that yields after the error keeps it, and so does one that cannot be closed', async () => {
  const stubborn = contextManager(function* stubborn(end: () => void) {
    try {
      yield 1;
    } catch {
      yield 2;
    } finally {
      end();
    }
  });
  const { error } = await outcome(withContext(stubborn(quiet), fail(boom)));
  expect(error).toMatchObject({ code: 'YIELD', cause: boom });
  const both = (await outcome(withContext(stubborn(fail(jammed)), fail(boom)))).error;
  expect(both).toMatchObject({ error: jammed, suppressed: { code: 'YIELD', cause: boom } });
});

test('a manager that is entered is not entered again, unless it is declared reentrant', async () => {
  const body = function* body(history: History) {
    history.record('in');
    try {
      yield;
    } finally {
      history.record('out');
    }
  };
  const history = new History();
  const once = contextManager(body)(history);
  const nested = (manager: ContextManager<void>) => withContext(manager, () => withContext(manager, quiet));
  const { error } = await outcome(nested(once));
  expect(error).toBeInstanceOf(ReentrantError);
  expect(told(error)).toContain('body');
  await withContext(once, quiet);
  await nested(contextManager(body, { reentrant: true })(history));
  expect(history.ops.join(' ')).toBe('in out in out in in out out');
  let starts = 0;
  const shaky = contextManager(() => (++starts <= 2 ? fail(boom)() : body(history)))();
  for (const _ of [1, 2]) expect((await outcome(withContext(shaky, quiet))).error, 'a failed start').toBe(boom);
  expect((await outcome(nested(shaky))).error).toBeInstanceOf(ReentrantError);
});

test('whoever leaves early gives back: by break, return, throw and abort', async () => {
  const history = new History();
  const borrow = contextManager(async function* (name: string) {
    try {
      yield name;
    } finally {
      history.record(`${name} closed`);
    }
  });
  async function* visits() {
    await using stack = new ExitStack();
    const name = await stack.enterContext(borrow('visit'));
    for (;;) yield name;
  }
  const ways: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    break: async () => {
      for await (const _ of visits()) break;
    },
    return: async () => {
      for await (const visit of visits()) return visit;
      return undefined;
    },
    throw: async () => {
      for await (const _ of visits()) throw boom;
    },
    abort: (signal) =>
      withContext(borrow('visit'), () => new Promise((_, reject) => signal.addEventListener('abort', reject))),
  };
  for (const [name, way] of Object.entries(ways)) {
    const controller = new AbortController();
    const left = outcome(way(controller.signal));
    await turn();
    controller.abort();
    await left;
    history.record(name);
  }
  expect(history.ops).toEqual(Object.keys(ways).flatMap((name) => ['visit closed', name]));
});

// ── stacks ──────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a stack gives back the last first, and a failure stops none of them', async () => {
  const history = new History();
  const stack = new ExitStack();
  await stack.enterContext(locker(history, 'house', quiet));
  stack.callback((room: string) => {
    history.record(`${room} closed`);
    throw jammed;
  }, 'room');
  await stack.enterContext(locker(history, 'locker', fail(new Error('the key broke'))));
  const { error } = await outcome(stack.close());
  expect(history.ops).toEqual(['house opened', 'locker opened', 'locker: returned', 'room closed', 'house: threw']);
  expect(told(error)).toBe('(the door is jammed over the key broke)');
});

test('after an exit that handled the error, the others see none', async () => {
  const seen: string[] = [];
  const { error } = await outcome(
    withContext(new ExitStack(), (stack) => {
      stack.push((ending) => seen.push(`first: ${ending.kind}`));
      stack.push((ending) => {
        seen.push(`second: ${ending.kind}`);
        return 'handled';
      });
      stack.push((ending) => seen.push(`third: ${ending.kind}`));
      throw boom;
    }),
  );
  expect(error, 'the stack has handled it').toBeUndefined();
  expect(seen).toEqual(['third: threw', 'second: threw', 'first: returned']);
});

test('popAll moves what a stack holds to a new owner', async () => {
  const history = new History();
  let owner = new ExitStack();
  {
    await using stack = new ExitStack();
    await stack.enterContext(locker(history, 'locker 1', quiet));
    await stack.enterContext(locker(history, 'locker 2', quiet));
    owner = stack.popAll();
    await stack.enterContext(locker(history, 'locker 3', quiet));
  }
  history.record('the block is over');
  await owner.close();
  await owner.close();
  expect(history.ops.slice(2)).toEqual([
    'locker 3 opened',
    'locker 3: unknown',
    'the block is over',
    'locker 2: returned',
    'locker 1: returned',
  ]);
});

test('what may be null is used like anything else, and what cannot be disposed of is refused', async () => {
  const history = new History();
  await using stack = new ExitStack();
  expect(stack.use(null)).toBeNull();
  expect(stack.use(undefined)).toBeUndefined();
  const both = {
    [Symbol.dispose]: () => history.record('sync'),
    [Symbol.asyncDispose]: async () => history.record('async'),
  };
  expect(stack.use(both)).toBe(both);
  const odd: unknown[] = [{}, { [Symbol.dispose]: 7 }, 7, 'text', () => {}];
  for (const value of odd) expect(() => Reflect.apply(stack.use, stack, [value])).toThrow(NotDisposableError);
  await stack.close();
  expect(history.ops).toEqual(['async']);
});

test('a closed stack takes nothing in, and gives back what arrives too late', async () => {
  const history = new History();
  const stack = new ExitStack();
  const gate = Promise.withResolvers<void>();
  const slow: ContextManager<string> = {
    enter: async () => {
      await gate.promise;
      return locker(history, 'late', fail(jammed)).enter();
    },
  };
  const late = outcome(stack.enterContext(slow));
  await stack.close();
  gate.resolve();
  expect(told((await late).error)).toMatch(/^\(the door is jammed over The stack has been given back/);
  expect(history.ops).toEqual(['late opened', 'late: threw']);
  for (const use of [
    () => stack.use(null),
    () => stack.use({ [Symbol.dispose]: quiet }),
    () => stack.push(quiet),
    () => stack.callback(quiet),
    () => stack.popAll(),
    () => stack.enter(),
  ]) {
    expect(use, String(use)).toThrow(DisposedError);
  }
  expect((await outcome(stack.enterContext(nullContext(1)))).error).toBeInstanceOf(DisposedError);
});

test('a stack is entered once, so that no error passes for one that was handled before', async () => {
  const history = new History();
  const stack = new ExitStack();
  stack.push(() => 'handled');
  stack.callback(() => history.record('closed'));
  const { error } = await outcome(
    withContext(stack, async () => {
      const inner = await outcome(withContext(stack, fail(boom)));
      history.record(inner.error instanceof ReentrantError ? 'refused' : 'entered again');
    }),
  );
  expect(error).toBeUndefined();
  expect(history.ops).toEqual(['refused', 'closed']);
});

type Exits = readonly ((ending: Ending) => Promise<unknown>)[];
type Block = (exits: Exits, body: () => unknown) => unknown;
/** What the language alone makes of it: a try within a try. */
const tryWithinTry: Block = async ([exit, ...inner], body): Promise<void> => {
  if (!exit) return void (await body());
  try {
    await tryWithinTry(inner, body);
  } catch (error) {
    const answer = await exit({ kind: 'threw', error }).catch((later: unknown) => {
      const leads = later === error || (later instanceof Error && later.cause === error);
      throw leads ? later : new SuppressedError(later, error);
    });
    if (answer !== 'handled') throw error;
    return;
  }
  await exit({ kind: 'returned' });
};
const nested: Block = ([exit, ...inner], body) =>
  exit ? withContext({ enter: () => entered(0, exit) }, () => nested(inner, body)) : body();
const stacked: Block = (exits, body) =>
  withContext(new ExitStack(), (stack) => {
    for (const exit of exits) stack.push(exit);
    return body();
  });
const stackOfTheLanguage: Block = async (exits) => {
  await using stack = new AsyncDisposableStack();
  for (const exit of exits) stack.defer(() => exit({ kind: 'unknown' }).then(quiet));
};
const stackOfThisLab: Block = async (exits) => {
  await using stack = new ExitStack();
  for (const exit of exits) stack.callback(exit, { kind: 'unknown' });
};

test('a stack equals nested blocks, whatever its exits do, and the stack of the language where that can say so', async () => {
  const { int, pick } = random(SEED);
  const agree = async (blocks: readonly Block[], kinds: readonly string[], body: () => unknown) => {
    const steps = Array.from({ length: int(1, 6) }, () => pick([...kinds]));
    const [expected, ...others] = await Promise.all(
      blocks.map(async (block) => {
        const seen: string[] = [];
        const exits = steps.map((kind, index) => async (ending: Ending) => {
          seen.push(`${index} ${kind}: ${ending.kind === 'threw' ? told(ending.error) : ending.kind}`);
          if (kind === 'fails') throw new Error(`exit ${index}`);
          if (kind === 'handles') return 'handled';
          if (kind === 'rethrows' && ending.kind === 'threw') throw ending.error;
          if (kind === 'translates' && ending.kind === 'threw') throw new Error('translated', { cause: ending.error });
          return undefined;
        });
        const end = await outcome((async () => block(exits, body))());
        return [...seen, end.error === undefined ? 'returned' : `threw ${told(end.error)}`].join('\n');
      }),
    );
    for (const other of others) expect(other, `seed ${SEED}: ${other}\nwhere it should be\n${expected}`).toBe(expected);
  };
  for (let round = 0; round < 300; round++) {
    const body = pick([fail(boom), quiet]);
    await agree([tryWithinTry, nested, stacked], ['well', 'fails', 'handles', 'rethrows', 'translates'], body);
    await agree([stackOfTheLanguage, stackOfThisLab], ['well', 'fails'], quiet);
  }
});

// ── several, and the small managers ─────────────────────────────────────────────────────────────────────────────────

test('when one of several cannot be had, those that were are given back, the late ones too', async () => {
  const history = new History();
  const gate = Promise.withResolvers<void>();
  const late: ContextManager<string> = {
    enter: async () => {
      await gate.promise;
      return locker(history, 'late', quiet).enter();
    },
  };
  const all = withContext(acquireAll(locker(history, 'early', quiet), { enter: fail(boom) }, late), () =>
    history.record('the body'),
  );
  const ended = outcome(all.finally(() => history.record('refused')));
  await turn();
  gate.resolve();
  expect((await ended).error).toBe(boom);
  expect(history.ops).toEqual(['early opened', 'late opened', 'late: threw', 'early: threw', 'refused']);
});

test('several are entered at once, given back the last first, and each sees the error', async () => {
  const history = new History();
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const slow = (index: number): ContextManager<number> => ({
    enter: async () => {
      history.record(`${index} asked for`);
      await gates[index]?.promise;
      return entered(index, ({ kind }) => history.record(`${index} ${kind}`));
    },
  });
  const all = outcome(withContext(acquireAll(slow(0), slow(1)), fail(boom)));
  gates[1]?.resolve();
  await turn();
  gates[0]?.resolve();
  expect((await all).error).toBe(boom);
  expect(history.ops).toEqual(['0 asked for', '1 asked for', '1 threw', '0 threw']);
  expect(await withContext(acquireAll(nullContext(1), nullContext('a')), (values) => values)).toEqual([1, 'a']);
  expect(await withContext(acquireAll(), (values) => values)).toEqual([]);
  const swallowed = await outcome(
    withContext(
      acquireAll(
        suppress(() => true),
        { enter: fail(boom) },
        { enter: fail(jammed) },
      ),
      quiet,
    ),
  );
  expect(told(swallowed.error), 'who handles cannot conjure up what is missing').toBe(
    '(the door is jammed over the body failed)',
  );
});

test('closing closes once, suppress handles what it expects, nullContext does nothing', async () => {
  const history = new History();
  const door = { close: () => history.record('closed') };
  const manager = closing(door);
  expect(await withContext(manager, (it) => it === door)).toBe(true);
  expect((await outcome(withContext(manager, quiet))).error).toBeInstanceOf(ReentrantError);
  expect(history.ops).toEqual(['closed']);
  for (const thing of [{}, { close: 7 }, null]) {
    expect(() => Reflect.apply(closing, undefined, [thing])).toThrow(NotDisposableError);
  }
  const expected = suppress((error) => error === boom);
  expect(await outcome(withContext(expected, fail(boom)))).toEqual({ value: undefined, error: undefined });
  expect((await outcome(withContext(expected, fail(jammed)))).error).toBe(jammed);
  expect(await withContext(expected, () => 'my coat')).toBe('my coat');
  const nothing = nullContext(door);
  expect(await withContext(nothing, (a) => withContext(nothing, (b) => a === b))).toBe(true);
  expect((await outcome(withContext(nothing, fail(boom)))).error).toBe(boom);
});
