import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { tell } from '@shared/story';
import { contest, ratio, type Standing } from '@shared/testkit';
import PolyfilledAsync from 'disposablestack/AsyncDisposableStack/implementation';
import Polyfilled from 'disposablestack/DisposableStack/implementation';
import { contextManager, ExitStack, entered, withContext } from './src/index.ts';

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');
/** Calls in one operation, so that the clock and the promise of a turn cost next to nothing. */
const [SYNC, ASYNC] = [20_000, 2_000];
/** So few that the young generation holds all they allocate: nothing is collected while they are measured. */
const FEW = 500;

let open = 0;
class Locker {
  constructor() {
    open += 1;
  }
  close() {
    open -= 1;
  }
  [Symbol.dispose]() {
    open -= 1;
  }
  async [Symbol.asyncDispose]() {
    open -= 1;
  }
}

type Calls = Readonly<Record<string, () => unknown>>;

await tell({ title: 'What a block costs that gives back', dir: import.meta.dirname }, async (story) => {
  /** Bytes of one call: the median of 15 times `FEW`. Whatever is allocated beside counts too, so the least is next to nothing. */
  const bytes = async (call: () => unknown): Promise<number> => {
    const seen: number[] = [];
    for (let round = 0; round < 15; round++) {
      collect();
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < FEW; i++) {
        const ended = call();
        if (ended instanceof Promise) await ended;
      }
      seen.push((process.memoryUsage().heapUsed - before) / FEW);
    }
    return seen.toSorted((a, b) => a - b)[7] ?? Number.NaN;
  };
  const measure = async (calls: Calls, batch: number): Promise<Record<string, number>> => {
    const contestants = Object.entries(calls).map(([name, call]) => {
      const many = async () => {
        for (let i = 0; i < batch; i++) {
          const ended = call();
          if (ended instanceof Promise) await ended;
        }
      };
      return [name, many] as const;
    });
    const standings = await contest(Object.fromEntries(contestants), { turnMs: 250 });
    const [first] = standings;
    if (!first) throw new Error('no contestants');
    const times = (each: Standing) => ratio(first, each);
    const rows: (string | number)[][] = [];
    for (const each of standings) {
      const allocated = await bytes(calls[each.name] ?? (() => {}));
      const ns = 1e9 / each.perSecond / batch;
      rows.push([each.name, ns.toFixed(0), times(each).toFixed(1), allocated.toFixed(0)]);
    }
    story.table({ columns: ['', 'ns each', 'times as long', 'bytes each'], rows });
    return Object.fromEntries(standings.map((each) => [each.name, times(each)]));
  };
  const claim = (text: string, figure: number | undefined, holds: (figure: number) => boolean) =>
    story.verdict(text, `${figure?.toFixed(1)} ×`, figure !== undefined && holds(figure));

  await story.scene('Nothing to wait for', async () => {
    const stacked = (Stack: typeof DisposableStack) => () => {
      const stack = new Stack();
      stack.use(new Locker());
      stack.dispose();
    };
    const times = await measure(
      {
        'try, finally': () => {
          const locker = new Locker();
          try {
            return locker;
          } finally {
            locker.close();
          }
        },
        using: () => {
          using locker = new Locker();
          return locker;
        },
        'DisposableStack, of Node': stacked(DisposableStack),
        'DisposableStack, disposablestack': stacked(Polyfilled),
      },
      SYNC,
    );
    claim('`using` costs more than try and finally', times['using'], (figure) => figure > 1);
    const [native = Number.NaN, polyfill = Number.NaN] = [
      times['DisposableStack, of Node'],
      times['DisposableStack, disposablestack'],
    ];
    claim("the polyfill costs more than Node's own stack", polyfill / native, (figure) => figure > 1);
  });

  await story.scene('Something to wait for', async () => {
    const stacked = (Stack: typeof AsyncDisposableStack) => async () => {
      await using stack = new Stack();
      stack.use(new Locker());
    };
    const manager = contextManager(async function* () {
      await using locker = new Locker();
      yield locker;
    });
    const plain = { enter: () => entered(new Locker(), (_) => {}) };
    const times = await measure(
      {
        'try, finally, await': async () => {
          const locker = new Locker();
          try {
            return locker;
          } finally {
            await locker[Symbol.asyncDispose]();
          }
        },
        'await using': async () => {
          await using locker = new Locker();
          return locker;
        },
        'AsyncDisposableStack, of Node': stacked(AsyncDisposableStack),
        'AsyncDisposableStack, disposablestack': stacked(PolyfilledAsync),
        'ExitStack, of this lab': async () => {
          await using stack = new ExitStack();
          stack.use(new Locker());
        },
        'withContext, entered': () => withContext(plain, (locker) => locker),
        'withContext, a generator': () => withContext(manager(), (locker) => locker),
      },
      ASYNC,
    );
    claim('an ExitStack costs more than `await using`', times['ExitStack, of this lab'], (figure) => figure > 1);
    claim('and a generator more than that', times['withContext, a generator'], (figure) => figure > 1);
  });
  if (Number.isNaN(open)) throw new Error('nothing was measured');
});
