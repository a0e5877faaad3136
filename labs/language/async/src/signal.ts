/**
 * Calls `then` with the reason when `signal` aborts, at once when it has. Dispose of it when the work is done: a signal
 * that lives as long as the process would keep every listener for as long.
 */
export function onAbort(signal: AbortSignal | undefined, then: (reason: unknown) => void): Disposable {
  let listening = true;
  const listener = () => {
    listening = false;
    then(signal?.reason);
  };
  if (signal?.aborted) listener();
  else signal?.addEventListener('abort', listener, { once: true });
  return {
    [Symbol.dispose]: () => {
      // To look for a listener that has gone takes as long as there are others.
      if (listening) signal?.removeEventListener('abort', listener);
    },
  };
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
