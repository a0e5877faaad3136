import type { Currency } from '../../src/domain/money.ts';

/**
 * An amount in minor units (fen, cents), zero or more, in one currency: CNY, EUR and USD have 2 digits after the point,
 * JPY 0, KWD 3. A value object: frozen, equal by value, and impossible to make wrong.
 *
 * Keep helpers beside the class, as functions: with a `#private` member the amounts of the given parts would be strangers.
 * `InvalidValueError(what, value, rule)` and `CurrencyMismatchError(one, other)` are in src/domain/errors.ts.
 */
export class Money {
  readonly minor: number;
  readonly currency: Currency;

  protected constructor(minor: number, currency: Currency) {
    this.minor = minor;
    this.currency = currency;
  }

  /** @throws InvalidValueError unless `minor` is a whole number from 0 to 2⁵³ − 1 and `currency` is known. */
  static of(_minor: number, _currency: string): Money {
    return todo('Money.of');
  }

  /** "12.50" → 1250. @throws InvalidValueError on more digits than the currency has, a sign, or an exponent. */
  static parse(_text: string, _currency: string): Money {
    return todo('Money.parse');
  }

  /** @throws CurrencyMismatchError */
  add(_other: Money): Money {
    return todo('Money.add');
  }

  /** @throws CurrencyMismatchError; InvalidValueError when `other` is more than this. */
  subtract(_other: Money): Money {
    return todo('Money.subtract');
  }

  /** @throws InvalidValueError unless `count` is a whole number, 0 or more. */
  times(_count: number): Money {
    return todo('Money.times');
  }

  /** @throws CurrencyMismatchError */
  isAtLeast(_other: Money): boolean {
    return todo('Money.isAtLeast');
  }

  /** The lesser of the two. @throws CurrencyMismatchError */
  min(_other: Money): Money {
    return todo('Money.min');
  }

  /**
   * Shares in proportion to `weights` whose sum is this amount, to the last minor unit. What rounding leaves goes to the
   * largest fractions lost, first come first served where they are equal.
   *
   * @throws InvalidValueError unless the weights are whole numbers, 0 or more, and not all 0.
   */
  allocate(_weights: readonly number[]): readonly Money[] {
    return todo('Money.allocate');
  }

  equals(_other: Money): boolean {
    return todo('Money.equals');
  }

  /** "12.50 CNY", "128 JPY". */
  toString(): string {
    return todo('Money.toString');
  }
}

function todo(what: string): never {
  throw new Error(`${what} is not written yet: its comment in domain/money.ts is the task.`);
}
