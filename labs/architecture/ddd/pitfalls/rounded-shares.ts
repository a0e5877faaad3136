// Flaw: each share is rounded for itself, and nobody looks at their sum.
// Seen in: https://github.com/spliit-app/spliit/issues/374
// Caught by: an allocation sums to the whole
import { Money as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Money extends Reference {
  static override of(minor: number, currency: string): Money {
    const checked = Reference.of(minor, currency);
    return new Money(checked.minor, checked.currency);
  }

  override allocate(weights: readonly number[]): readonly Money[] {
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => Money.of(Math.round((this.minor * weight) / sum), this.currency));
  }
}
