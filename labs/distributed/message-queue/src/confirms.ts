import { type QueueError, RefusedError, UnroutableMessageError } from './errors.ts';

interface Waiting {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: QueueError) => void;
  /** Why no queue took it, if none did. */
  returned?: string;
}

/** What is called as the broker's frames come in. */
export interface ConfirmLedger {
  readonly size: number;
  next(): { readonly tag: number; readonly settled: Promise<void> };
  returned(tag: number, why: string): void;
  ack(tag: number, multiple: boolean): void;
  nack(tag: number, multiple: boolean): void;
  fail(error: QueueError): void;
}

/**
 * What was published on one channel and is not settled. The broker numbers what it gets from 1 (the delivery tag), and
 * confirms in any order, one message or all up to one. Numbers begin anew with each channel, so it is made with one.
 * https://www.rabbitmq.com/docs/confirms
 */
export class Confirms implements ConfirmLedger {
  protected readonly waiting = new Map<number, Waiting>();
  #last = 0;

  get size(): number {
    return this.waiting.size;
  }

  /** Before each publish: its tag, and how it ends. */
  next(): { readonly tag: number; readonly settled: Promise<void> } {
    const tag = ++this.#last;
    const waiting = Promise.withResolvers<void>();
    waiting.promise.catch(() => {});
    this.waiting.set(tag, waiting);
    return { tag, settled: waiting.promise };
  }

  /** basic.return: no queue has taken it. Its confirm follows all the same, since nothing is left to be done. */
  returned(tag: number, why: string): void {
    const waiting = this.waiting.get(tag);
    if (waiting) waiting.returned = why;
  }

  /** basic.ack */
  ack(tag: number, multiple: boolean): void {
    this.settle(tag, multiple, ({ resolve, reject, returned }) => {
      if (returned === undefined) resolve();
      else reject(new UnroutableMessageError(`no queue takes it: ${returned}. Bind a queue before you send.`));
    });
  }

  /** basic.nack */
  nack(tag: number, multiple: boolean): void {
    this.settle(tag, multiple, ({ reject }) => {
      reject(new RefusedError('the broker has refused the message: send it again later'));
    });
  }

  /** The channel is gone: no answer will come any more. */
  fail(error: QueueError): void {
    this.settle(this.#last, true, ({ reject }) => reject(error));
  }

  protected settle(tag: number, multiple: boolean, how: (waiting: Waiting) => void): void {
    const settled = this.waiting.get(tag);
    for (const [each, waiting] of multiple ? this.waiting : settled ? [[tag, settled] as const] : []) {
      if (each > tag) return;
      this.waiting.delete(each);
      how(waiting);
    }
  }
}
