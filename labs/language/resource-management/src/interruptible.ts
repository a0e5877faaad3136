import { type ContextManager, entered } from './context.ts';
import { InterruptedError } from './errors.ts';

let open = 0;
let caught: NodeJS.Signals | undefined;

/**
 * Turns a signal to the process into one for its code: the first of `signals` aborts the AbortSignal that this manager
 * gives, with an InterruptedError. The body unwinds, and gives back what it holds. Then the process ends by that same
 * signal, so that whoever sent it sees so. A second signal ends it at once.
 *
 * Nested or side by side, all are aborted, and the last to exit ends the process. `kill -9` and `process.exit()` pass
 * all this by.
 *
 * @param signals default SIGINT (Ctrl-C) and SIGTERM (a supervisor)
 */
export function interruptible(signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM']): ContextManager<AbortSignal> {
  return {
    enter() {
      const controller = new AbortController();
      const stopListening = () => {
        for (const signal of signals) process.off(signal, interrupt);
      };
      const interrupt = (signal: NodeJS.Signals) => {
        caught ??= signal;
        stopListening();
        controller.abort(new InterruptedError(signal));
      };
      for (const signal of signals) process.on(signal, interrupt);
      open += 1;
      return entered(controller.signal, () => {
        stopListening();
        open -= 1;
        if (open === 0 && caught) process.kill(process.pid, caught);
      });
    },
  };
}
