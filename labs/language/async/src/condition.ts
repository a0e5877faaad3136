import { LockNotHeldError } from './errors.ts';
import { Line } from './line.ts';
import type { WaitOptions } from './options.ts';
import { Lock } from './semaphore.ts';
import { onAbort } from './signal.ts';

/**
 * The lock of a condition, held. Disposing of it frees the lock, and takes who waits by it out of the line. Every method
 * throws LockNotHeldError without the lock.
 */
export interface HeldCondition extends Disposable {
  /**
   * Frees the lock, waits to be notified, and has the lock again when it returns or throws.
   * @throws the signal's reason.
   */
  wait(options?: WaitOptions): Promise<void>;
  /** Waits until `predicate` is true; it is asked while the lock is held. */
  waitFor(predicate: () => boolean, options?: WaitOptions): Promise<void>;
  /** Wakes the first of those who wait. */
  notify(): void;
  notifyAll(): void;
}

/** A lock, and a place to wait, without it, until somebody who holds it has changed what it guards. */
export class Condition {
  readonly #lock = new Lock();
  readonly #line = new Line();

  /** @throws the signal's reason. */
  async acquire(options: WaitOptions = {}): Promise<HeldCondition> {
    return new Held(this.#lock, this.#line, await this.#lock.acquire(options));
  }
}

class Held implements HeldCondition {
  readonly #lock: Lock;
  readonly #line: Line;
  #permit: Disposable | undefined;
  #leave = () => {};
  #disposed = false;

  constructor(lock: Lock, line: Line, permit: Disposable) {
    this.#lock = lock;
    this.#line = line;
    this.#permit = permit;
  }

  async wait({ signal }: WaitOptions = {}): Promise<void> {
    this.#check();
    signal?.throwIfAborted();
    const leaving = new AbortController();
    this.#leave = () => leaving.abort();
    using _ = onAbort(signal, this.#leave);
    const woken = this.#line.join(undefined, leaving.signal).then(
      () => true,
      () => false,
    );
    this.#free();
    const call = await woken;
    if (!this.#disposed) this.#permit = await this.#lock.acquire();
    if (this.#disposed) this.#free();
    if (this.#permit && !signal?.aborted) return;
    // Woken, and gone in the same turn: the call was for somebody who is still here.
    if (call) this.#line.next()?.serve();
    signal?.throwIfAborted();
    this.#check();
  }

  async waitFor(predicate: () => boolean, options: WaitOptions = {}): Promise<void> {
    this.#check();
    options.signal?.throwIfAborted();
    while (!predicate()) await this.wait(options);
  }

  notify(): void {
    this.#check();
    this.#line.next()?.serve();
  }

  notifyAll(): void {
    this.#check();
    while (this.#line.length > 0) this.notify();
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#leave();
    this.#free();
  }

  #free(): void {
    this.#permit?.[Symbol.dispose]();
    this.#permit = undefined;
  }

  #check(): void {
    if (!this.#permit) throw new LockNotHeldError('The lock of the condition is not held: acquire it first.');
  }
}
