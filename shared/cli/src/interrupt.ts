import { exit } from './errors.ts';

/** The user pressed Ctrl-C; everything that was started has been ended. */
class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitCode = exit.interrupted;
  constructor() {
    super('interrupted');
  }
}

/**
 * Runs `work` so that a signal ends it in order: its AbortSignal fires, and we wait for its clean-up.
 *
 * @throws {Interrupted} after the clean-up, where a signal came.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const abort = () => stop.abort(new Interrupted());
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, abort);
  try {
    return await work(stop.signal);
  } finally {
    for (const signal of signals) process.off(signal, abort);
  }
}
