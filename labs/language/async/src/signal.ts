/**
 * Calls `then` with the reason when `signal` aborts, at once when it has. Dispose of it when the work is done: a signal
 * that lives as long as the process would keep every listener for as long.
 */
export function onAbort(signal: AbortSignal | undefined, then: Listener['then']): Disposable {
  if (signal && !signal.aborted) return Audience.of(signal).add(then);
  if (signal) then(signal.reason);
  return { [Symbol.dispose]: () => {} };
}

interface Listener {
  readonly then: (reason: unknown) => void;
}

/** All who listen to one signal, by one listener of Node's: to add or remove one takes as long as there are others. */
class Audience {
  static readonly #all = new WeakMap<AbortSignal, Audience>();
  readonly #listeners = new Set<Listener>();
  readonly #signal: AbortSignal;

  private constructor(signal: AbortSignal) {
    this.#signal = signal;
    Audience.#all.set(signal, this);
  }

  static of(signal: AbortSignal): Audience {
    return Audience.#all.get(signal) ?? new Audience(signal);
  }

  add(then: Listener['then']): Disposable {
    const listener = { then };
    if (this.#listeners.size === 0) this.#signal.addEventListener('abort', this.#tell);
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#remove(listener) };
  }

  readonly #tell = () => {
    for (const listener of this.#listeners) {
      this.#remove(listener);
      listener.then(this.#signal.reason);
    }
  };

  #remove(listener: Listener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size === 0) this.#signal.removeEventListener('abort', this.#tell);
  }
}

/**
 * Whether `error` says no more than that `signal` has aborted: it is the signal's reason, or an AbortError that names the
 * reason as its cause, as Node's own functions throw. Any other error is news, also one that came after the abort.
 */
export function isCancellation(error: unknown, signal: AbortSignal): boolean {
  if (!signal.aborted) return false;
  if (error === signal.reason) return true;
  try {
    return error instanceof Error && error.name === 'AbortError' && error.cause === signal.reason;
  } catch {
    // An error that can't be looked at is one of its own.
    return false;
  }
}
