// Flaw: the ring turns by one bucket a call, so failures from before an idle hour are still there after it.
// Seen in: https://github.com/connor4312/cockatiel/issues/64
// Caught by: an idle gap longer than the window forgets everything
import { CircuitBreaker as Reference } from '../src/index.ts';
import { TimeWindow, type Window } from '../src/window.ts';

export * from '../src/index.ts';

class LazyWindow extends TimeWindow {
  protected override steps(behind: number): number {
    return Math.min(behind, 1);
  }
}

export class CircuitBreaker extends Reference {
  protected override createWindow(): Window {
    const { window } = this.plan;
    if (window.type === 'count') return super.createWindow();
    return new LazyWindow(window.size, window.buckets ?? 10, this.clock.mono());
  }
}
