import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ManualClock, until } from '@shared/testkit';
import type { Clock } from '../src/index.ts';

/** A clock that moves when the test says so, as the lab wants it. */
export function handClock(): Clock & { readonly manual: ManualClock } {
  const manual = new ManualClock();
  return { manual, mono: manual.mono, after: manual.after };
}

/** A promise that is awaited later: until then its rejection is nobody's business. */
export function later<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/**
 * Resolves when whatever `client` has under way has been answered, and what follows from the answers too, `steps` deep:
 * Redis answers one connection in order. For a law that waits for something not to happen.
 */
export async function answered(client: { ping(): Promise<unknown> }, steps = 10): Promise<void> {
  for (let step = 0; step < steps; step++) await client.ping();
}

/** Resolves when every promise that can go on without a server or a timer has gone on. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Loads that end when the test says so: a depot with a door. */
export class Depot<T> {
  /** Begun so far. */
  loads = 0;
  running = 0;
  most = 0;
  readonly #answer: (load: number) => T | Promise<T>;
  readonly #doors: PromiseWithResolvers<void>[] = [];
  #open: boolean;

  /** @param open with the door open a load ends at once. */
  constructor(answer: (load: number) => T | Promise<T>, open = false) {
    this.#answer = answer;
    this.#open = open;
  }

  readonly load = async (): Promise<T> => {
    const load = ++this.loads;
    this.most = Math.max(this.most, ++this.running);
    const door = Promise.withResolvers<void>();
    if (this.#open) door.resolve();
    else this.#doors.push(door);
    try {
      await door.promise;
      return await this.#answer(load);
    } finally {
      this.running--;
    }
  };

  /** Resolves when the `count`th load has begun; rejects if `calls`, which should begin it, all end without. */
  async begun(calls: Promise<unknown> | readonly Promise<unknown>[], count = 1): Promise<void> {
    const all = Promise.allSettled([calls].flat());
    let ended = false;
    void all.then(() => {
      ended = true;
    });
    await until(() => ended || this.loads >= count, { what: `load ${count} to begin` });
    if (this.loads < count) throw new Error(`the calls ended, and ${this.loads} loads have begun`);
  }

  open(): void {
    this.#open = true;
    for (const door of this.#doors.splice(0)) door.resolve();
  }

  /** Lets the oldest one that waits go. */
  one(): void {
    this.#doors.shift()?.resolve();
  }
}

/** A process of its own that keeps one key fresh; the value is `${name} ${number of the load}`. */
export class Refresher implements AsyncDisposable {
  readonly #child: ReturnType<typeof fork>;

  private constructor(child: ReturnType<typeof fork>) {
    this.#child = child;
  }

  static async start(order: {
    url: string;
    prefix: string;
    key: string;
    name: string;
    refreshMs: number;
    leaseMs: number;
  }): Promise<Refresher> {
    const child = fork(join(import.meta.dirname, 'refresher.ts'), [JSON.stringify(order)], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`the refresher ended with ${code}`))),
    ]);
    return new Refresher(child);
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const gone =
      this.#child.exitCode === null && this.#child.signalCode === null ? once(this.#child, 'exit') : undefined;
    this.#child.kill('SIGKILL');
    await gone;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
