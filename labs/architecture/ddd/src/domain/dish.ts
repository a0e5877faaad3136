import { InvalidValueError } from './errors.ts';
import { text } from './text.ts';

/** A closed list of words: there is no other instance than the ones named here. */
abstract class Word<Name extends string> {
  readonly name: Name;

  protected constructor(name: Name) {
    this.name = name;
    Object.freeze(this);
  }

  toString(): string {
    return this.name;
  }
}

function oneOf<W extends Word<string>>(what: string, words: readonly W[], name: string): W {
  const found = words.find((word) => word.name === name);
  if (!found) throw new InvalidValueError(what, name, `one of ${words.join(', ')}`);
  return found;
}

/** How big: 小份, 中份, 大份. How many grams that is, the kitchen knows. */
export class Size extends Word<'small' | 'medium' | 'large'> {
  static readonly Small = new Size('small');
  static readonly Medium = new Size('medium');
  static readonly Large = new Size('large');

  private constructor(name: Size['name']) {
    super(name);
  }

  /** @throws InvalidValueError for any other name. */
  static of(name: string): Size {
    return oneOf('Size', [Size.Small, Size.Medium, Size.Large], name);
  }
}

/** How hot: 不辣, 微辣, 中辣, 特辣. */
export class Spiciness extends Word<'none' | 'mild' | 'medium' | 'hot'> {
  static readonly None = new Spiciness('none');
  static readonly Mild = new Spiciness('mild');
  static readonly Medium = new Spiciness('medium');
  static readonly Hot = new Spiciness('hot');

  private constructor(name: Spiciness['name']) {
    super(name);
  }

  /** @throws InvalidValueError for any other name. */
  static of(name: string): Spiciness {
    return oneOf('Spiciness', [Spiciness.None, Spiciness.Mild, Spiciness.Medium, Spiciness.Hot], name);
  }
}

/** What the guest asks for, in one breath: "a large fish with pickled cabbage, medium hot". A value. */
export class Dish {
  readonly name: string;
  readonly size: Size;
  readonly spiciness: Spiciness;

  /** @throws InvalidValueError on a name that is empty, longer than 80 characters, or no text. */
  constructor(name: string, size: Size, spiciness: Spiciness) {
    this.name = text('Dish', name, 80);
    if (!(size instanceof Size)) throw new InvalidValueError('Size', size, 'a word of Size');
    if (!(spiciness instanceof Spiciness)) throw new InvalidValueError('Spiciness', spiciness, 'a word of Spiciness');
    this.size = size;
    this.spiciness = spiciness;
    Object.freeze(this);
  }

  equals(other: Dish): boolean {
    return this.name === other.name && this.size === other.size && this.spiciness === other.spiciness;
  }

  toString(): string {
    const spice = this.spiciness === Spiciness.None ? '' : `, ${this.spiciness} spice`;
    return `${this.size} ${this.name}${spice}`;
  }
}
