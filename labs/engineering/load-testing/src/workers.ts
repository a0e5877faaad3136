import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { InvalidPlanError } from './errors.ts';
import { type Delta, Generator, SAYS_MS, type Steps, steps } from './generator.ts';
import { type Plan, type Settings, settingsOf } from './plan.ts';
import { Recorder, type Report } from './recorder.ts';
import type { Share } from './stages.ts';
import type { User } from './user.ts';

export interface WorkersPlan extends Plan {
  /** How many processes share the load: one a core, less those that the target needs. */
  readonly workers: number;
  /** The file that calls `work(user)`: functions don't travel to another process. */
  readonly script: URL;
  /** A worker that says nothing for so long is killed, and its share is missing, in milliseconds. Default 5,000. */
  readonly silentMs?: number;
}

type Order = { readonly go: { readonly settings: Settings; readonly share: Share } } | { readonly stop: true };
type News = { readonly ready: true } | { readonly delta: Delta } | { readonly done: true };

/** `runWorkers`, with steps of one's own in this process. */
export const runWorkersWith =
  (own: Steps) =>
  async (plan: WorkersPlan): Promise<Report> => {
    const settings = settingsOf(plan);
    const { workers: of, silentMs = 5_000 } = plan;
    if (!Number.isInteger(of) || of < 1 || of > 256) throw new InvalidPlanError(`workers is 1 to 256, not ${of}.`);
    const everyMs = Math.min(settings.everyMs, SAYS_MS);
    if (!(silentMs >= 2 * everyMs)) {
      throw new InvalidPlanError(
        `silentMs is ${silentMs}; it must be twice ${everyMs} ms at least, how often a worker reports.`,
      );
    }
    const workers = Array.from({ length: of }, (_, index) => new Worker(plan.script, { index, of }, silentMs));
    const stop = () => workers.forEach((worker) => void worker.send({ stop: true }));
    let recorder: Recorder | undefined;
    try {
      await Promise.all(workers.map((worker) => worker.ready));
      const together = new Recorder(plan, settings, own, of);
      recorder = together;
      plan.signal?.addEventListener('abort', stop);
      // Before they are told to go: who hears of it later has begun.
      if (plan.signal?.aborted) stop();
      const shares = workers.map(async (worker) => {
        const exit = await worker.play(settings, (delta) => together.add(delta, worker.share.index));
        const reason = worker.silent ? 'silent' : own.lost(exit);
        if (reason !== undefined) together.lose({ ...worker.share, atSeconds: together.seconds, reason });
      });
      await Promise.all(shares);
      return together.report();
    } finally {
      recorder?.close();
      plan.signal?.removeEventListener('abort', stop);
      await Promise.all(workers.map((worker) => worker.kill()));
    }
  };

/**
 * Loads the target from several processes, each with its share, and reports of them as of one. A worker that dies is
 * named as missing, with its share, and the verdict is refused.
 * @throws InvalidPlanError, RemoteTargetError as `run`
 */
export const runWorkers = runWorkersWith(steps);

/** Tells a worker that it is one, and which. */
const WORKER = 'LOAD_TEST_WORKER';
/** What a process may need to load its script, beside `silentMs`. */
const START_MS = 30_000;

/** A worker as its parent sees it. */
class Worker {
  readonly share: Share;
  /** Resolves when it waits for its share, and when it has died before that. */
  readonly ready: Promise<unknown>;
  silent = false;
  readonly #child: ChildProcess;
  readonly #exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #silentMs: number;
  /** When it was heard of last, or has to be heard of by reason of its start. */
  #heard = performance.now() + START_MS;
  #done = false;
  #onDelta = (_: Delta) => {};

  constructor(script: URL, share: Share, silentMs: number) {
    this.share = share;
    this.#silentMs = silentMs;
    this.#child = fork(script, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, [WORKER]: String(share.index) },
    });
    // Without a listener, a process that can't be started or written to would throw here.
    this.#child.on('error', () => {});
    this.#exited = once(this.#child, 'close').then(([code, signal]) => ({ code, signal }));
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.ready = Promise.race([promise, this.#exited, this.#watch()]);
    this.#child.on('message', (news: News) => {
      this.#heard = performance.now();
      if ('ready' in news) {
        // It may wait for the others for as long as they need.
        this.#heard = Number.POSITIVE_INFINITY;
        resolve(news);
      } else if ('delta' in news) this.#onDelta(news.delta);
      else this.#done = true;
    });
  }

  send(order: Order): void {
    if (this.#child.connected) this.#child.send(order);
  }

  async play(settings: Settings, onDelta: (delta: Delta) => void) {
    this.#onDelta = onDelta;
    this.#heard = performance.now();
    this.send({ go: { settings, share: this.share } });
    return { ...(await this.#exited), done: this.#done };
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** Ends with the process, which it kills when nothing was heard of it for too long. */
  async #watch(): Promise<void> {
    const gone = new AbortController();
    void this.#exited.then(() => gone.abort());
    while (!gone.signal.aborted) {
      await delay(this.#silentMs / 5, undefined, { signal: gone.signal, ref: false }).catch(() => {});
      this.silent ||= !gone.signal.aborted && performance.now() - this.#heard > this.#silentMs;
      if (this.silent) this.#child.kill('SIGKILL');
    }
  }
}

/**
 * What the script of `runWorkers` calls: it waits for its share, plays it, and ends the process. It ends with its parent,
 * too, whatever ends that.
 * @throws InvalidPlanError in a process that wasn't started by `runWorkers`
 */
export async function work(user: User): Promise<void> {
  if (!process.send || process.env[WORKER] === undefined)
    throw new InvalidPlanError('work is for the script that runWorkers starts; call run here.');
  const send = (news: News) => new Promise<void>((resolve) => void process.send?.(news, () => resolve()));
  process.once('disconnect', () => process.exit(1));
  let generator: Generator | undefined;
  let stopped = false;
  process.on('message', async (order: Order) => {
    if ('stop' in order) {
      stopped = true;
      return generator?.stop();
    }
    const { settings, share } = order.go;
    generator = new Generator(user, settings, share);
    if (stopped) generator.stop();
    await generator.run((delta) => void send({ delta }));
    await send({ done: true });
    process.exit(0);
  });
  await send({ ready: true });
}
