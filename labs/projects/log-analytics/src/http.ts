import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Book } from './book.ts';
import { checkWhole, InvalidArgumentError, StoreUnavailableError } from './errors.ts';
import { Feed } from './feed.ts';
import type { Intake } from './intake.ts';
import { PAGE } from './page.ts';
import { Api, HttpError, route, stream } from './vendor/web-api/index.ts';
import { View } from './view.ts';

export interface AnalyticsApiOptions {
  readonly intake: Intake;
  readonly book: Book;
  /** Hears of what goes wrong; must not throw. */
  readonly onError: (error: unknown) => void;
  /** Milliseconds between two views of the live page. Default 500. */
  readonly refreshMs?: number;
  /** Where views are published. Default one of its own. */
  readonly feed?: Feed<Live>;
}

const Live = View.extend({
  /** Calls whose lines wait to be counted. */
  waiting: z.number(),
  /** When it was taken, by the clock of this process. */
  at: z.number(),
});
export type Live = z.output<typeof Live>;

const Lines = z.strictObject({ source: z.string(), first: z.number(), lines: z.array(z.string()) });
const MEBIBYTE = 2 ** 20;

/**
 * The door for lines, and the live page. Whoever reaches it is believed: put authentication in front of both.
 * @throws InvalidArgumentError
 */
export function analyticsApi(o: AnalyticsApiOptions): Api {
  const { intake, book, onError, refreshMs = 500, feed = new Feed<Live>() } = o;
  checkWhole('refreshMs', refreshMs, 1);
  const stopped = new AbortController();

  const take = route({
    method: 'POST',
    url: '/lines',
    body: Lines,
    response: z.object({ outcome: z.literal('taken') }),
    handler: async ({ body: { source, first, lines } }) => {
      const outcome = await withHttpStatus(() => intake.take(source, first, lines));
      if (outcome === 'busy') throw new HttpError(429, 'BUSY', 'Too many lines wait: send the same again in a second.');
      return { outcome };
    },
  });

  const next = route({
    method: 'GET',
    url: '/next',
    query: z.object({ source: z.string() }),
    response: z.object({ next: z.number() }),
    handler: ({ query: { source } }) => withHttpStatus(async () => ({ next: await book.next(source) })),
  });

  const live = stream({
    method: 'GET',
    url: '/live',
    response: Live,
    deadlineMs: 30_000,
    // `stream` asks for the next view when the browser has taken the one before.
    handler: ({ signal }) => feed.subscribe(signal),
  });

  // Once for all browsers, and not once for each.
  const publishing = (async () => {
    const { signal } = stopped;
    while (!signal.aborted) {
      try {
        const [view, waiting] = await Promise.all([book.view(), intake.depth()]);
        feed.publish({ ...view, waiting, at: Date.now() });
      } catch (error) {
        onError(error);
      }
      await sleep(refreshMs, undefined, { signal }).catch(() => {});
    }
  })();
  const stop = async () => {
    stopped.abort();
    await publishing;
  };

  // A live view has no end of its own: at a stop it is cut off, and the page asks again.
  const drain = { limitMs: 1_000 };
  const api = new Api({ routes: [take, next, live], onError, bodyLimit: 2 * MEBIBYTE, closing: [stop], drain });
  api.app.get('/', (_, reply) => reply.type('text/html; charset=utf-8').send(PAGE));
  return api;
}

async function withHttpStatus<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw new HttpError(400, 'INVALID_ARGUMENT', error.message);
    if (error instanceof StoreUnavailableError) throw new HttpError(503, 'STORE_UNAVAILABLE', error.message);
    throw error;
  }
}
