// Laws for the compiler: nothing here is run.
import { test } from 'vitest';
import { type AsyncResult, type Json, type Result, type SendOptions, sandboxed, TaskQueue, task } from '#lab';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

type Film = { readonly name: string };
const tasks = {
  double: task((n: number) => n * 2),
  text: task((n: number) => String(n)),
  length: task((s: string) => s.length),
  note: task((_: string) => {}),
  list: task((parts: number[]) => parts.join(' ')),
  name: task((n: number) => (n > 0 ? String(n) : undefined)),
  find: task((name: string): Film | undefined => (name === '' ? undefined : { name })),
  show: task((_: Film | undefined) => {}),
  showNone: task((_: Film | null) => {}),
  either: task((n: number) => (n > 0 ? n : 'none')),
  takeEither: task((_: number | string) => {}),
  lists: task((_: (number | string)[]) => {}),
  pair: task(([n, s]: readonly [number, string]) => s.repeat(n)),
  tidy: task(() => {}),
  count: task((all: readonly Json[]) => all.length),
};
declare const queue: TaskQueue<typeof tasks>;
declare const module: URL;
const first = queue.s('double', 1);

test('a chain of any length gives what its last link gives', () => {
  const none = queue.chain(first);
  same<typeof none, Promise<AsyncResult<number>>>(true);
  const one = queue.chain(first, 'text');
  same<typeof one, Promise<AsyncResult<string>>>(true);
  const six = queue.chain(first, 'double', 'text', 'length', 'double', 'text', 'note');
  same<typeof six, Promise<AsyncResult<void>>>(true);
  // biome-ignore format: sixty links
  const sixty = queue.chain(first,
    'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length',
    'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length',
    'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length',
    'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length',
    'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length', 'text', 'length',
  );
  same<typeof sixty, Promise<AsyncResult<number>>>(true);
});

test('a link that does not take what the one before gives is refused, and the error stands at that link', () => {
  queue.chain(
    first,
    // @ts-expect-error a number for a string, in the first link
    'length',
    'double',
  );
  queue.chain(
    first,
    'double',
    'double',
    'text',
    'length',
    // @ts-expect-error a number for a string, in the fifth link
    'note',
    'text',
  );
  queue.chain(
    first,
    'text',
    // @ts-expect-error no such task
    'lenght',
    'text',
  );
  queue.chain(
    queue.s('note', 'x'),
    // @ts-expect-error nothing for a number
    'double',
  );
  const some: 'double'[] = [];
  // @ts-expect-error how many there are is not known
  queue.chain(first, ...some);
});

test('a link takes all that the one before may give, and so does a callback', () => {
  queue.chain(queue.s('either', 1), 'takeEither');
  queue.chord([queue.s('either', 1), first], 'lists');
  queue.chain(
    queue.s('either', 1),
    // @ts-expect-error a string for a number, now and then
    'double',
  );
  const parts = [first, queue.s('text', 1)];
  queue.chord(parts, 'lists');
  // @ts-expect-error a string among the numbers
  queue.chord(parts, 'list');
});

test('a task that looks at no payload follows any, one without a result too', () => {
  queue.chain(first, 'tidy', 'tidy');
  const notes = ['x', 'y'].map((text) => queue.s('note', text));
  queue.chord(notes, 'tidy');
  queue.chord([queue.s('note', 'x'), first], 'count');
  // @ts-expect-error a list of nothing for one of numbers
  queue.chord(notes, 'list');
});

test('a chord gives its callback the list of what its header gives', () => {
  const bound = queue.chord([first, queue.s('length', 'x')], 'list');
  same<typeof bound, Promise<AsyncResult<string>>>(true);
  // @ts-expect-error a string among the numbers
  queue.chord([first, queue.s('text', 1)], 'list');
});

test('the callback of a chord waits for its parts, and for no moment of its own', () => {
  const eta = new Date();
  queue.chord([queue.s('double', 1, { eta })], 'list', { expires: eta, priority: 'urgent' });
  // @ts-expect-error BullMQ would count from the end of the last part
  queue.chord([first], 'list', { eta });
  // @ts-expect-error the same, and the failure of a part would wait for it
  queue.chord([first], 'list', { countdownMs: 1 });
  const options: SendOptions = { eta };
  // @ts-expect-error nor by another way
  queue.chord([first], 'list', options);
});

test('the callback of a chord that may skip does not count on the places of its list', () => {
  const header = [first, queue.s('text', 1)] as const;
  queue.chord(header, 'pair');
  queue.chord(header, 'pair', { onFailure: 'fail' });
  queue.chord([first, first], 'list', { onFailure: 'skip' });
  // @ts-expect-error the one of the two that has failed is left out
  queue.chord(header, 'pair', { onFailure: 'skip' });
  const onFailure = Math.random() < 0.5 ? 'skip' : 'fail';
  // @ts-expect-error it may be left out
  queue.chord(header, 'pair', { onFailure });
});

test('what a task gives comes as it is stored: undefined as null', () => {
  const name = queue.delay('name', 1);
  same<typeof name, Promise<AsyncResult<string | null>>>(true);
  const film = queue.delay('find', 'x').then((ticket) => ticket.get());
  film satisfies Promise<Film | null>;
  // @ts-expect-error null for undefined
  film satisfies Promise<Film | undefined>;
  queue.chain(queue.s('find', 'x'), 'showNone');
  queue.chain(
    queue.s('find', 'x'),
    // @ts-expect-error null for undefined
    'show',
  );
});

test('a payload is of its task, and survives the journey', () => {
  queue.delay('double', 1);
  // @ts-expect-error a string for a number
  queue.delay('double', '1');
  // @ts-expect-error no such task
  queue.delay('treble', 1);
  // @ts-expect-error a Date comes back as a string
  task((_: Date) => 1);
});

test('a hard limit is for a task in a thread, whose types are those of its module', () => {
  // @ts-expect-error nothing ends a function from outside
  task((n: number) => n, { hardLimitMs: 1_000 });
  // @ts-expect-error without it, no thread
  sandboxed<(n: number) => number>(module, {});
  const shop = new TaskQueue(
    { scan: sandboxed<(n: number) => Promise<string>>(module, { hardLimitMs: 1_000 }) },
    { connection: { url: '' } },
  );
  const scanned = shop.delay('scan', 1);
  same<typeof scanned, Promise<AsyncResult<string>>>(true);
  // @ts-expect-error a string for a number
  shop.delay('scan', '1');
});

test('the payload of a task in a thread survives the journey too, and one that looks at none takes any', () => {
  const inThread = <F extends (_: never) => Result>() => sandboxed<F>(module, { hardLimitMs: 1_000 });
  const shop = new TaskQueue(
    {
      ...tasks,
      age: inThread<(at: Date) => number>(),
      scan: inThread<(film: { readonly scan: Buffer }) => number>(),
      find: inThread<(film?: Film) => string>(),
      pack: inThread<() => string>(),
      parse: inThread<(_: unknown) => void>(),
    },
    { connection: { url: '' } },
  );
  // @ts-expect-error a Date comes back as a string
  shop.delay('age', new Date());
  // @ts-expect-error and a Buffer as a list of numbers
  shop.delay('scan', { scan: Buffer.from('') });
  // @ts-expect-error whoever looks at it
  shop.delay('parse', new Date());
  shop.delay('find', undefined);
  // @ts-expect-error a number for a film
  shop.delay('find', 1);
  shop.chain(shop.s('double', 1), 'pack', 'parse', 'pack');
  shop.chord([shop.s('note', 'x')], 'pack');
});
