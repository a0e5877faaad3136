// Flaw: `return` without `await` leaves the try block before the promise rejects, so nothing is ever tried again.
// Seen in: https://github.com/wireapp/wire-web-packages/pull/2140
// Caught by: attempts counts the calls, the first included
import { systemClock } from '../src/core/clock.ts';
import { type AsyncMethod, standard as reference } from '../src/index.ts';
import { onMethod } from '../src/standard/decorate.ts';

export * from '../src/index.ts';

const retry: typeof reference.retry = ({ attempts, delayMs, clock = systemClock, signal }) =>
  onMethod<AsyncMethod>(
    'retry',
    (method) =>
      async function (...args) {
        for (let attempt = 1; ; attempt++) {
          try {
            return Reflect.apply(method, this, args);
          } catch (error) {
            if (attempt >= attempts) throw error;
          }
          await clock.sleep(delayMs * 2 ** (attempt - 1), signal);
        }
      },
  );

export const standard = { ...reference, retry };
