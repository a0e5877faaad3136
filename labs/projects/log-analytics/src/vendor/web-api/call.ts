import type { ServerResponse } from 'node:http';
import { ClientGoneError, DeadlineExceededError, type WebApiError } from './errors.ts';

/** One request on its way: who may end it early, and until when. */
export class Call {
  /** Rejects with the reason when the call is cut off; pends otherwise. */
  readonly cutOff: Promise<never>;
  readonly #controller = new AbortController();
  readonly #response: ServerResponse;
  readonly #timer: NodeJS.Timeout;
  readonly #gone = (): void => {
    if (!this.#response.writableFinished) this.cut(new ClientGoneError());
  };
  #decided = false;

  constructor(response: ServerResponse, deadlineMs: number) {
    this.#response = response;
    this.#timer = setTimeout(() => this.cut(new DeadlineExceededError(deadlineMs)), deadlineMs);
    const { signal } = this.#controller;
    this.cutOff = new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    this.cutOff.catch(() => {});
    response.once('close', this.#gone);
    if (response.destroyed) this.#gone();
  }

  /** Aborts when the call is cut off. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends it early, unless it is decided. The first reason stays. */
  cut(reason: WebApiError): void {
    if (!this.#decided) this.#controller.abort(reason);
  }

  /** The deadline counts from now: a stream has moved on. */
  progress(): void {
    if (!this.#decided) this.#timer.refresh();
  }

  /** From here on it cannot be cut off any more: whoever is told "too late" finds nothing kept. @throws the reason, if it was */
  decide(): void {
    this.signal.throwIfAborted();
    this.#decided = true;
    clearTimeout(this.#timer);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#response.off('close', this.#gone);
  }
}
