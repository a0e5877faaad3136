import type { TraceEvent } from '../trace.ts';

/** A hang, and the test that was running, if one was. */
export interface Hang {
  readonly why: string;
  readonly running: { readonly id: string; readonly name: string } | undefined;
}

/** Watches the process of a test file by what it writes into its trace: does it still live? */
export class Watch {
  readonly #blockedMs: number;
  readonly #loadMs: number;
  /** When anything was last heard of it, on our clock. */
  #heard = 0;
  /** Since when it has been loading its file; undefined while servers start and once tests run. */
  #loading: number | undefined;
  #running: Hang['running'];
  #starting = false;
  #begun = false;

  constructor(blockedMs: number, loadMs: number) {
    this.#blockedMs = blockedMs;
    this.#loadMs = loadMs;
  }

  /** The test that runs now. */
  get running(): Hang['running'] {
    return this.#running;
  }

  /** Whether it waits for servers, which may have to be fetched or built first. */
  get starting(): boolean {
    return this.#starting;
  }

  /** Whether it has come to its first test. */
  get begun(): boolean {
    return this.#begun;
  }

  take(event: TraceEvent): void {
    if (!('pid' in event)) return;
    const now = performance.now();
    this.#heard = now;
    if (event.type === 'worker') this.#loading = now;
    if (event.type === 'servers') {
      this.#starting = event.state === 'starting';
      this.#loading = this.#starting ? undefined : now;
    }
    if (event.type === 'start') {
      this.#loading = undefined;
      this.#begun = true;
      this.#running = { id: event.id, name: event.name };
    }
    if (event.type === 'end' && this.#running?.id === event.id) this.#running = undefined;
  }

  /** Why it cannot end by itself, if so. */
  hang(): Hang | undefined {
    const now = performance.now();
    if (this.#running && now - this.#heard > this.#blockedMs) {
      return { why: `hangs: it has blocked the event loop for ${this.#blockedMs} ms`, running: this.#running };
    }
    if (this.#loading !== undefined && now - this.#loading > this.#loadMs) {
      const why = `the test file did not load within ${this.#loadMs / 1000} s: a loop or an await at its top level`;
      return { why, running: undefined };
    }
    return undefined;
  }
}
