// Flaw: the window is a list of calls, so its memory grows with the traffic.
// Seen in: https://github.com/vert-x3/vertx-circuit-breaker/issues/17
// Caught by: memory does not grow with the number of calls
import { CircuitBreaker as Reference } from '../src/index.ts';
import type { Window } from '../src/window.ts';

export * from '../src/index.ts';

class ListWindow implements Window {
  calls = 0;
  failures = 0;
  slow = 0;
  readonly #size: number;
  readonly #list: { at: number; failed: boolean; slow: boolean }[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  record(now: number, failed: boolean, slow: boolean): void {
    this.advance(now);
    this.#list.push({ at: now, failed, slow });
    this.#add(1, failed, slow);
  }

  advance(now: number): void {
    for (let [first] = this.#list; first && first.at <= now - this.#size; [first] = this.#list) {
      this.#list.shift();
      this.#add(-1, first.failed, first.slow);
    }
  }

  #add(by: number, failed: boolean, slow: boolean) {
    this.calls += by;
    if (failed) this.failures += by;
    if (slow) this.slow += by;
  }
}

export class CircuitBreaker extends Reference {
  protected override createWindow(): Window {
    const { window } = this.plan;
    return window.type === 'time' ? new ListWindow(window.size) : super.createWindow();
  }
}
