/** A value that can be watched: what both frameworks can show. React takes it as it is (`useSyncExternalStore`). */
export interface Readable<T> {
  readonly get: () => T;
  /** @returns what ends it */
  readonly subscribe: (listener: () => void) => () => void;
}

export interface Store<T> extends Readable<T> {
  readonly set: (value: T) => void;
}

/** Each listener hears of each `set`, once it is there to be read. What one throws is reported, and keeps nobody from the news. */
export function store<T>(value: T): Store<T> {
  let current = value;
  const listeners = new Set<() => void>();
  return {
    get: () => current,
    set: (next) => {
      current = next;
      // One that was ended by another hears no more.
      for (const listener of [...listeners]) if (listeners.has(listener)) reported(listener);
    },
    subscribe: (listener) => {
      // A function that is given twice is two listeners, and each ends by itself.
      const own = () => listener();
      listeners.add(own);
      return () => void listeners.delete(own);
    },
  };
}

/** What `work` throws is the page's uncaught error, and not that of whoever had to tell it. */
export function reported(work: () => void): void {
  try {
    work();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
