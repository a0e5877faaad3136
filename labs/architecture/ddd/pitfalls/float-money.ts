// Flaw: money is a floating point number of yuan, so sums are off by fractions of a fen.
// Seen in: https://github.com/shopware/shopware/issues/18020
// Caught by: sums of money are exact
import { type Currency, Money as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Money extends Reference {
  static yuan(amount: number, currency: Currency): Money {
    return new Money(amount * 100, currency);
  }

  static override parse(text: string, currency: string): Money {
    return Money.yuan(Number(text), Reference.of(0, currency).currency);
  }

  override add(other: Reference): Money {
    return Money.yuan(this.minor / 100 + other.minor / 100, this.currency);
  }
}
