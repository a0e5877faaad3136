/** What is needed of `navigator.locks`, which browsers share among the tabs of an origin, and Node has within a process. */
export interface Locks {
  request<T>(name: string, body: () => Promise<T>): Promise<T>;
}

/**
 * One refresh at a time. Who asks while one is under way gets its result. Other tabs wait for the lock: they refresh after it,
 * with the cookie that it has left.
 * @param refresh Asks the server for a token. It must end: give it a timeout. What it rejects with goes to all who wait for it.
 */
export function singleFlight<T>(refresh: () => Promise<T>, locks: Locks, name = 'auth-refresh'): () => Promise<T> {
  let flight: Promise<T> | undefined;
  return () => {
    // One that throws before it has a promise would keep the lock, in Node.
    flight ??= locks
      .request(name, async () => refresh())
      .finally(() => {
        flight = undefined;
      });
    return flight;
  };
}
