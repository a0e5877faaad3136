/** The outcome of `promise`, or the reason of the first signal that aborts, even if the promise never settles. */
export async function unlessStopped<T>(promise: Promise<T>, signals: readonly AbortSignal[]): Promise<T> {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const stops = signals.map((signal) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    return () => signal.removeEventListener('abort', stop);
  });
  try {
    return await Promise.race([promise, stopped]);
  } finally {
    for (const off of stops) off();
  }
}
