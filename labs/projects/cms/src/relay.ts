import { setTimeout as sleep } from 'node:timers/promises';
import { SpanKind, trace } from '@opentelemetry/api';
import type { Article } from './article.ts';
import { plainText } from './clean.ts';
import type { ContentStore, Note } from './content.ts';
import { checkAmount } from './errors.ts';
import type { Document, PutResult } from './search.ts';
import { spanned, traceOf } from './trace.ts';

export interface RelayOptions {
  readonly store: Pick<ContentStore, 'waiting' | 'told' | 'noteAll'>;
  /** Tells the index. */
  readonly put: (documents: readonly Document[], make: boolean) => Promise<PutResult>;
  /** Notes a round, at most. Default 100. */
  readonly batch?: number;
  /** Milliseconds after which the index is looked for, also where nobody writes. Default 10,000. */
  readonly lookMs?: number;
}

/** Characters of text in one request, at most; 4 MiB is what a gRPC message may have. */
const MOST_CHARACTERS = 800_000;

/**
 * Tells the index what the outbox says: tell, and then clear. A crash in between tells it twice, never not at all; and
 * several relays may work at once, since the index takes no old revision.
 */
export class Relay {
  protected readonly o: Required<RelayOptions>;
  #asked = Number.NEGATIVE_INFINITY;

  /** @throws InvalidInputError */
  constructor({ store, put, batch = 100, lookMs = 10_000 }: RelayOptions) {
    checkAmount('batch', batch, 1, 10_000);
    checkAmount('lookMs', lookMs, 0, 3_600_000);
    this.o = { store, put, batch, lookMs };
  }

  /** One round. @returns how many notes were cleared @throws UnavailableError, or what `put` throws: nothing is cleared */
  async round(): Promise<number> {
    const notes = within(MOST_CHARACTERS, await this.o.store.waiting(this.o.batch));
    // Now and then it asks in any case: the index may have been lost while nobody wrote.
    if (notes.length === 0 && performance.now() - this.#asked < this.o.lookMs) return 0;
    const put = () => this.carry(notes);
    const [oldest, ...others] = notes;
    if (oldest === undefined) await put();
    else {
      await spanned('relay', put, {
        kind: SpanKind.CONSUMER,
        from: traceOf(oldest.trace),
        attributes: { 'messaging.batch.message_count': notes.length },
        links: others.flatMap((note) => {
          const context = trace.getSpanContext(traceOf(note.trace));
          return context === undefined ? [] : [{ context }];
        }),
      });
    }
    this.#asked = performance.now();
    return notes.length;
  }

  protected async carry(notes: readonly Note[]): Promise<void> {
    // Two notes of one text say the same: how it is now.
    const texts = [...new Map(notes.map(({ article }) => [article.id, article])).values()];
    const { refusals } = await this.put(texts.map(documentOf));
    // One that can't be indexed is set aside with its reason, and holds up nobody.
    const refused = new Map(texts.map(({ id }, n) => [id, refusals[n] ?? '']));
    const why = notes.map(({ position, article }) => [position, refused.get(article.id) ?? ''] as const);
    await this.o.store.told(
      notes.map(({ position }) => position),
      new Map(why.filter(([, reason]) => reason !== '')),
    );
  }

  /** An index that is lost is made anew behind the notes that fill it: a crash in between notes the texts once more. */
  protected async put(documents: readonly Document[]): Promise<PutResult> {
    const said = await this.o.put(documents, false);
    if (!said.missing) return said;
    await this.o.store.noteAll();
    return this.o.put(documents, true);
  }
}

/** A text as the index is to have it. */
export function documentOf({ id, revision, state, slug, title, teaser, body }: Article): Document {
  const live = state === 'published';
  return { id, revision, live, slug, title, teaser, body: live ? plainText(body) : '' };
}

function within(characters: number, notes: readonly Note[]): readonly Note[] {
  let sum = 0;
  const end = notes.findIndex(({ article }) => {
    sum += article.body.length;
    return sum > characters;
  });
  return end < 0 ? notes : notes.slice(0, Math.max(1, end));
}

/** Does `work` again and again, `everyMs` after it had nothing to do or failed. Disposing of it ends it after what is under way. */
export function repeat(
  everyMs: number,
  work: () => Promise<number>,
  onError: (error: unknown) => void,
): AsyncDisposable {
  checkAmount('everyMs', everyMs, 1, 3_600_000);
  const stop = new AbortController();
  const run = async () => {
    while (!stop.signal.aborted) {
      const done = await work().catch((error: unknown) => {
        onError(error);
        return 0;
      });
      if (done === 0) await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => {});
    }
  };
  const running = run();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
