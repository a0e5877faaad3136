// Flaw: a filter that isn't there says no to everybody: after a restart, all rows are missing.
// Seen in: https://github.com/Baqend/Orestes-Bloomfilter/issues/67
// Caught by: a filter that was never built lets everybody pass, one that was built of nothing lets nobody
import { SharedBloom as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class SharedBloom extends Reference {
  protected override passes(answer: 'maybe' | 'unknown' | 'missing'): boolean {
    return super.passes(answer) && answer === 'maybe';
  }
}
