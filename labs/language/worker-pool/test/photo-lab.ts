// The tasks of the laws: a photo lab whose films jam, burn and take their time. Runs in threads and in processes.
import { appendFileSync, existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, threadId } from 'node:worker_threads';

/** Where a task of the laws says that it has begun, and waits until it may go on. */
export interface Stop {
  readonly film: string | number;
  readonly gate: string;
}

const me = () => `${process.pid}:${threadId}`;

export const develop = (film: number): string => `photo ${film}`;
export const whoAmI = (): string => me();
export const note = ({ film, gate }: Stop): void => appendFileSync(`${gate}/begun`, `${film}\n`);

export async function hold({ film, gate }: Stop): Promise<string> {
  note({ film, gate });
  while (!existsSync(`${gate}/open`)) await delay(3);
  appendFileSync(`${gate}/ended`, `${film}\n`);
  return `photo ${film}`;
}

export const spin = (): never => {
  for (;;);
};

export const burn = (ms: number): number => {
  const end = performance.now() + ms;
  while (performance.now() < end);
  return ms;
};

/** A film on its way through a machine: which one, from when to when (ms since 1970). */
export async function print({ film, ms }: { film: number; ms: number }) {
  const from = performance.timeOrigin + performance.now();
  await delay(ms);
  return { film, machine: me(), from, to: performance.timeOrigin + performance.now() };
}

export const enlarge = (steps: number): number => {
  let grain = 1;
  for (let step = 0; step < steps; step++) grain = (grain * 16_807) % 2_147_483_647;
  return grain;
};

export const jam = (film: number): string => (film === 50 ? process.exit(7) : develop(film));
/** What the kernel does to who takes too much memory. */
export const killed = (): void => void process.kill(process.pid, 'SIGKILL');
export const abort = (): never => process.abort();
/** Answers, and dies a moment later. */
export const dieLater = (): void => void setTimeout(() => process.exit(9));

class TornError extends RangeError {
  override readonly name = 'TornError';
  readonly code = 'E_TORN';
  readonly film: number;
  constructor(film: number) {
    super(`film ${film} is torn`, { cause: new TypeError('the edge is wet') });
    this.film = film;
  }
}

export const tear = (film: number): never => {
  throw new TornError(film);
};
export const lendIf = (film: number): unknown => (film === 1 ? () => 1 : develop(film));
export const tearIf = (film: number): string => (film === 4 ? tear(film) : develop(film));
export const toss = (what: string): never => {
  const own: Error & { self?: unknown } = new Error('round', {
    cause: new AggregateError([new TypeError('a')], 'many'),
  });
  own.self = () => own;
  const thrown: Record<string, unknown> = {
    text: 'a text',
    nothing: undefined,
    function: () => 1,
    round: Object.assign(own, { cause: own }),
    many: new AggregateError([new TypeError('a')], 'many'),
    fields: Object.assign(new Error('odd'), { errors: { film: 'wet' } }),
    aborted: new DOMException('', 'AbortError'),
    unreadable: Object.defineProperty(new Error(), 'message', { get: () => tear(0) }),
  };
  throw thrown[what];
};
export const lend =
  (_: unknown): (() => number) =>
  () =>
    1;
/** So deep that one end can write it down, and the other can't read it. */
export function nest(depth: number): unknown {
  let nested: unknown;
  for (let level = 0; level < depth; level++) nested = { nested };
  return nested;
}

let shelf: unknown;
export const keep = (what: unknown): void => {
  shelf = what;
};
export const kept = (): unknown => shelf;
export const size = (pixels: Uint8Array): number => pixels.byteLength;
export const first = (pixels: Uint8Array): number | undefined => pixels[0];
export const eat = (): never => {
  for (const kept: unknown[] = []; ; ) kept.push(new Array(1_000).fill(Math.random()));
};

/** Speaks to the parent by itself, as if it were the pool's own end. */
export function whisper(film: number): string {
  const say = (message: unknown) => (parentPort ? parentPort.postMessage(message) : process.send?.(message));
  for (const message of [null, 'done', { type: 'hello' }, { type: 'pool:done', id: -1, values: ['forged'] }])
    say(message);
  return develop(film);
}

export const failToStart = (stop: Stop): never => {
  note(stop);
  throw new TornError(0);
};
export const dieAtStart = (stop: Stop): never => {
  note(stop);
  process.exit(3);
};
