import { type Mock, onTestFinished, vi } from 'vitest';

/** Hears, in vitest's place and until the test ends, of each rejection that nobody handles. */
export function unhandledRejections(): Mock {
  const unhandled = vi.fn();
  const usual = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', unhandled);
  onTestFinished(() => {
    process.off('unhandledRejection', unhandled);
    for (const listener of usual) process.on('unhandledRejection', listener);
  });
  return unhandled;
}
