import { type ContextManager, entered } from './context.ts';
import { InterruptedError } from './errors.ts';

/** What aborts each of those that are open. */
const open = new Set<(signal: NodeJS.Signals) => void>();
let caught: NodeJS.Signals | undefined;

/**
 * Turns a signal to the process into one for its code: the first of `signals` aborts the AbortSignal that this manager
 * gives, with an InterruptedError. The body unwinds, and gives back what it holds. Then the process ends by that same
 * signal, so that whoever sent it sees so. A second signal ends it at once.
 *
 * Nested or side by side, all are aborted, whichever of them listens to the signal; who enters later finds it aborted.
 * The last to exit ends the process. `kill -9` and `process.exit()` pass all this by.
 *
 * @param signals default SIGINT (Ctrl-C) and SIGTERM (a supervisor)
 * @throws from `enter`: what Node does about a signal that can't be caught, such as SIGKILL
 */
export function interruptible(signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM']): ContextManager<AbortSignal> {
  return {
    enter() {
      const controller = new AbortController();
      const stopListening = () => {
        for (const signal of signals) process.off(signal, interrupt);
      };
      const abort = (signal: NodeJS.Signals) => {
        stopListening();
        controller.abort(new InterruptedError(signal));
      };
      const interrupt = (signal: NodeJS.Signals) => {
        caught ??= signal;
        for (const abortOne of open) abortOne(signal);
      };
      try {
        if (caught) abort(caught);
        else for (const signal of signals) process.on(signal, interrupt);
      } catch (error) {
        stopListening();
        throw error;
      }
      open.add(abort);
      return entered(controller.signal, () => {
        stopListening();
        open.delete(abort);
        if (open.size > 0 || !caught) return;
        const signal = caught;
        // Should somebody else keep the process alive, the next one begins anew.
        caught = undefined;
        process.kill(process.pid, signal);
      });
    },
  };
}
