import { performance } from 'node:perf_hooks';
import { type Behaviour, isPromise, warnOf } from './method.ts';

export interface Timing {
  readonly name: string;
  /** Milliseconds from the call until it returned, threw, was settled, or until the generator was done. */
  readonly ms: number;
  readonly ok: boolean;
}

/**
 * Tells `sink` how long each call took. A promise is timed until it is settled; a generator until its end, what its
 * consumer did in between included. A sink that throws or rejects becomes a warning of the process, and changes no result.
 */
export function timing(sink: (timing: Timing) => void): Behaviour {
  return (method, name) =>
    function (...args) {
      const start = performance.now();
      const report = (ok: boolean) => {
        const timing = { name, ms: performance.now() - start, ok };
        void warnOf(`the sink of @timed failed on ${name}`, () => sink(timing));
      };
      let result: unknown;
      try {
        result = Reflect.apply(method, this, args);
      } catch (error) {
        report(false);
        throw error;
      }
      if (isPromise(result)) {
        // Of a query, whatever its own `then` may return.
        return (result instanceof Promise ? result : Promise.resolve(result)).then(
          (value) => {
            report(true);
            return value;
          },
          (error: unknown) => {
            report(false);
            throw error;
          },
        );
      }
      if (isAsyncGenerator(result)) return untilDone(result, report);
      if (isGenerator(result)) return untilDoneSync(result, report);
      report(true);
      return result;
    };
}

async function* untilDone(generator: AsyncGenerator, report: (ok: boolean) => void): AsyncGenerator {
  let ok = true;
  try {
    return yield* generator;
  } catch (error) {
    ok = false;
    throw error;
  } finally {
    report(ok);
  }
}

function* untilDoneSync(generator: Generator, report: (ok: boolean) => void): Generator {
  let ok = true;
  try {
    return yield* generator;
  } catch (error) {
    ok = false;
    throw error;
  } finally {
    report(ok);
  }
}

function isAsyncGenerator(value: unknown): value is AsyncGenerator {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value && 'throw' in value;
}

function isGenerator(value: unknown): value is Generator {
  return typeof value === 'object' && value !== null && Symbol.iterator in value && 'throw' in value;
}
