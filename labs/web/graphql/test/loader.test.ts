import { outcome } from '@shared/testkit';
import { expect, test } from 'vitest';
import { type Batch, BatchError, batchByKey, createLoaders, groupByKey, InvalidArgumentError, Loader } from '#lab';

/** A shelf of magazines that remembers what it was asked for, and answers from the last row to the first. */
function shelf(rows: Readonly<Record<string, string>> = {}) {
  const asked: (readonly string[])[] = [];
  const fetch = async (keys: readonly string[]) => {
    asked.push([...keys]);
    return keys.flatMap((id) => (Object.hasOwn(rows, id) ? [{ id, title: rows[id] ?? '' }] : [])).reverse();
  };
  return { asked, fetch, keyOf: ({ id }: { id: string }) => id, read: ({ title }: { title: string }) => title };
}

// ── core ──

test('what is asked for in one go is asked for at once, a key that comes twice as well', async () => {
  const asked: unknown[] = [];
  const upper: Batch<string, string> = async (keys) => {
    asked.push(keys);
    return keys.map((key) => key.toUpperCase());
  };
  const loader = new Loader(upper);
  const answers = Promise.all(['a', 'b', 'a', 'c'].map((key) => loader.load(key)));
  expect(asked, 'asked before the caller is done').toEqual([]);
  expect(await answers, 'answers').toEqual(['A', 'B', 'A', 'C']);
  expect(await Promise.all([loader.load('c'), loader.load('d')])).toEqual(['C', 'D']);
  expect(asked, 'batches that were asked for').toEqual([['a', 'b', 'c'], ['d']]);
});

test('who comes a few promises later is in the same batch', async () => {
  const { asked, ...rows } = shelf({ a: 'Ant', b: 'Bee', c: 'Cow' });
  const loader = new Loader(batchByKey(rows));
  const after = async (promises: number, key: string) => {
    for (let n = 0; n < promises; n++) await null;
    return loader.load(key);
  };
  expect(await Promise.all([after(0, 'a'), after(3, 'b'), after(12, 'c')]), 'answers').toEqual(['Ant', 'Bee', 'Cow']);
  expect(asked, 'batches that were asked for').toEqual([['a', 'b', 'c']]);
});

test('answers lie where they were asked for: null in the place of what is not there', async () => {
  const { asked, ...rows } = shelf({ a: 'Ant', b: 'Bee', d: 'Dog' });
  const answers = await batchByKey(rows)(['d', 'c', 'a', 'toString', 'b']);
  expect(answers, 'for d, c, a, toString, b').toEqual(['Dog', null, 'Ant', null, 'Bee']);
  expect(asked).toHaveLength(1);
});

test('a row that cannot be read fails alone', async () => {
  const torn = new Error('torn');
  const read = ({ title }: { title: string }) => {
    if (title === 'Bee') throw torn;
    return title;
  };
  const { asked, ...rows } = shelf({ a: 'Ant', b: 'Bee', c: 'Cow' });
  const loader = new Loader(batchByKey({ ...rows, read }));
  const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((key) => outcome(loader.load(key))));
  expect([a?.value, c?.value], 'of the others').toEqual(['Ant', 'Cow']);
  expect(b?.error, 'of b').toBe(torn);
  expect(asked).toHaveLength(1);
});

// ── hardening ──

test('rows to each key in their order, none as an empty array; one that cannot be read fails its own key', async () => {
  const rows = [
    { key: 1, text: 'good' },
    { key: 3, text: 'bad' },
    { key: 1, text: 'better' },
    { key: 3, text: 'good' },
  ];
  const read = ({ text }: { text: string }) => {
    if (text === 'bad') throw 'no Error';
    return text;
  };
  const answers = await groupByKey({ fetch: async () => rows, keyOf: ({ key }) => key, read })([3, 2, 1]);
  expect(answers).toEqual([expect.any(BatchError), [], ['good', 'better']]);
});

test('two rows of one key, and a row of a key that nobody asked for, are told, and chosen from never', async () => {
  const rows = (ids: readonly (string | number)[]) => ({
    fetch: async () => ids,
    keyOf: (id: string | number) => id,
    read: String,
  });
  expect(await batchByKey(rows([1, 2, 1]))([1, 2])).toEqual([expect.any(BatchError), '2']);
  const { error } = await outcome(batchByKey(rows(['1', '2']))([1, 2]));
  expect(error, 'a bigint that came as text').toBeInstanceOf(BatchError);
});

test('what is no key is not there, and not asked for', async () => {
  const { asked, ...rows } = shelf({ a: 'Ant' });
  const batch = batchByKey({ ...rows, isKey: (key) => /^[a-z]$/.test(key) });
  expect(await batch(['a', '\u0000', 'a; DROP'])).toEqual(['Ant', null, null]);
  expect(await batch(['\u0000'])).toEqual([null]);
  expect(asked).toEqual([['a']]);
});

test('a batch that fails fails all that are in it, and no later one', async () => {
  const down = new Error('down');
  let calls = 0;
  const loader = new Loader(async (keys: readonly string[]) => {
    if (++calls === 1) throw down;
    return [...keys];
  });
  const first = await Promise.all(['a', 'b'].map((key) => outcome(loader.load(key))));
  expect(first.map(({ error }) => error)).toEqual([down, down]);
  expect(await loader.load('c')).toBe('c');
  const sync = new Loader(() => {
    throw down;
  });
  expect((await outcome(sync.load('a'))).error).toBe(down);
});

test('a batch function that returns too few answers, or none, is told, and mixes nothing up', async () => {
  for (const answer of [['A'], undefined, { length: 2 }]) {
    // @ts-expect-error as code without types may
    const loader = new Loader<string, string>(async () => answer);
    const both = await Promise.all(['a', 'b'].map((key) => outcome(loader.load(key))));
    for (const { error } of both) expect(error).toBeInstanceOf(BatchError);
    // @ts-expect-error as code without types may
    const rows = batchByKey<string, string, string>({ fetch: async () => answer, keyOf: String, read: String });
    expect((await outcome(rows(['a']))).error).toBeInstanceOf(BatchError);
  }
});

test('a batch has maxBatch keys at most', async () => {
  const { asked, ...rows } = shelf({ a: 'Ant' });
  const loader = new Loader(batchByKey(rows), { maxBatch: 2 });
  await Promise.all(['a', 'b', 'c', 'd', 'e'].map((key) => loader.load(key)));
  expect(asked).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
  const sizes: number[] = [];
  const size = async (keys: readonly number[]) => {
    sizes.push(keys.length);
    return keys;
  };
  for (const options of [{}, { maxBatch: 1 }]) {
    const numbers = new Loader(size, options);
    await Promise.all(Array.from({ length: 'maxBatch' in options ? 2 : 1001 }, (_, n) => numbers.load(n)));
  }
  expect(sizes, '1000 by default').toEqual([1000, 1, 1, 1]);
  for (const maxBatch of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => new Loader(batchByKey(rows), { maxBatch })).toThrow(InvalidArgumentError);
  }
});

test('after an abort nothing more is asked for, and who waits gets the reason', async () => {
  const { asked, ...rows } = shelf({ a: 'Ant' });
  const ending = new AbortController();
  const loader = new Loader(batchByKey(rows), { signal: ending.signal });
  expect(await loader.load('a')).toBe('Ant');
  const waiting = outcome(loader.load('b'));
  const gone = new Error('the client has gone');
  ending.abort(gone);
  expect((await waiting).error).toBe(gone);
  expect((await outcome(loader.load('c'))).error).toBe(gone);
  expect(asked).toEqual([['a']]);
});

test('each context has loaders of its own, the same ones until it is cleared', () => {
  const loaders = createLoaders({ shelf: (ctx: { name: string }) => ({ of: ctx.name }) });
  const [ann, ben] = [{ name: 'ann' }, { name: 'ben' }];
  const before = loaders.of(ann);
  expect([loaders.of(ann) === before, before.shelf, loaders.of(ben).shelf]).toEqual([
    true,
    { of: 'ann' },
    { of: 'ben' },
  ]);
  const bens = loaders.of(ben);
  loaders.clear(ann);
  expect([loaders.of(ann) === before, loaders.of(ben) === bens]).toEqual([false, true]);
});
