import { CurrencyMismatchError, InvalidValueError } from './errors.ts';

/** Digits after the point, by ISO 4217. */
const digits = { CNY: 2, EUR: 2, USD: 2, JPY: 0, KWD: 3 } as const;
export type Currency = keyof typeof digits;

const isCurrency = (code: string): code is Currency => Object.hasOwn(digits, code);

function known(currency: string): Currency {
  if (isCurrency(currency)) return currency;
  throw new InvalidValueError('Currency', currency, `one of ${Object.keys(digits)}`);
}

/**
 * An amount in minor units (fen, cents), zero or more, in one currency. A value object: without identity, frozen, equal
 * by value, and impossible to make wrong. Debts and refunds are not negative money: they are other words.
 */
export class Money {
  readonly minor: number;
  readonly currency: Currency;

  protected constructor(minor: number, currency: Currency) {
    this.minor = minor;
    this.currency = currency;
    Object.freeze(this);
  }

  /** @throws InvalidValueError unless `minor` is a whole number from 0 to 2⁵³ − 1 and `currency` is known. */
  static of(minor: number, currency: string): Money {
    const code = known(currency);
    if (!Number.isSafeInteger(minor) || minor < 0) {
      throw new InvalidValueError(`Amount in minor units of ${code}`, minor, 'a whole number from 0 to 2⁵³ − 1');
    }
    return new Money(minor, code);
  }

  /** "12.50" → 1250. @throws InvalidValueError on an unknown currency, more digits than it has, a sign, or an exponent. */
  static parse(text: string, currency: string): Money {
    const places = digits[known(currency)];
    const [, whole = '', fraction = ''] = /^(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
    if (whole === '' || fraction.length > places) {
      throw new InvalidValueError('Amount', text, `digits, with at most ${places} after the point in ${currency}`);
    }
    return Money.of(Number(whole + fraction.padEnd(places, '0')), currency);
  }

  /** @throws CurrencyMismatchError */
  add(other: Money): Money {
    return Money.of(this.minor + minorOf(other, this), this.currency);
  }

  /** @throws CurrencyMismatchError; InvalidValueError when `other` is more than this. */
  subtract(other: Money): Money {
    return Money.of(this.minor - minorOf(other, this), this.currency);
  }

  /** @throws InvalidValueError unless `count` is a whole number, 0 or more. */
  times(count: number): Money {
    if (!Number.isSafeInteger(count) || count < 0)
      throw new InvalidValueError('Count', count, 'a whole number, 0 or more');
    return Money.of(this.minor * count, this.currency);
  }

  /** @throws CurrencyMismatchError */
  isAtLeast(other: Money): boolean {
    return this.minor >= minorOf(other, this);
  }

  /** The lesser of the two. @throws CurrencyMismatchError */
  min(other: Money): Money {
    return this.isAtLeast(other) ? other : this;
  }

  /**
   * Shares in proportion to `weights` whose sum is this amount, to the last minor unit: each share is rounded down, and
   * what is left goes to the largest fractions lost (Hamilton's method), first come first served where they are equal.
   *
   * @throws InvalidValueError unless the weights are whole numbers, 0 or more, and not all 0.
   */
  allocate(weights: readonly number[]): readonly Money[] {
    const bad = weights.findIndex((weight) => !Number.isSafeInteger(weight) || weight < 0);
    if (bad !== -1) throw new InvalidValueError('Weight', weights[bad], 'a whole number, 0 or more');
    const sum = weights.reduce((total, weight) => total + BigInt(weight), 0n);
    if (sum === 0n) throw new InvalidValueError('Weights', `[${weights}]`, 'at least one above 0');
    const exact = weights.map((weight) => BigInt(this.minor) * BigInt(weight));
    const shares = exact.map((product) => Number(product / sum));
    const left = this.minor - shares.reduce((total, share) => total + share, 0);
    const byFraction = exact
      .map((product, index) => ({ index, lost: product % sum }))
      .sort((a, b) => (a.lost === b.lost ? a.index - b.index : a.lost > b.lost ? -1 : 1));
    for (const { index } of byFraction.slice(0, left)) shares[index] = (shares[index] ?? 0) + 1;
    return shares.map((share) => Money.of(share, this.currency));
  }

  equals(other: Money): boolean {
    return this.minor === other.minor && this.currency === other.currency;
  }

  toString(): string {
    const places = digits[this.currency];
    const text = String(this.minor).padStart(places + 1, '0');
    return `${places ? `${text.slice(0, -places)}.${text.slice(-places)}` : text} ${this.currency}`;
  }
}

/** The minor units of `other`, if it may be reckoned with `one`. */
function minorOf(other: Money, one: Money): number {
  // What only looks like an amount may be less than nothing.
  if (!(other instanceof Money)) throw new InvalidValueError('Amount', other, 'one that was made by Money');
  if (other.currency !== one.currency) throw new CurrencyMismatchError(one.currency, other.currency);
  return other.minor;
}
