import { InvalidValueError } from './errors.ts';

/** Where the order goes. A value: who moves gets a new one, and stays who he is. */
export class Address {
  readonly city: string;
  readonly street: string;

  /** @throws InvalidValueError when a part is empty or longer than 200 characters. */
  constructor(city: string, street: string) {
    for (const [what, text] of [['City', city] as const, ['Street', street] as const]) {
      if (text.trim() === '' || text.length > 200) throw new InvalidValueError(what, text, '1 to 200 characters');
    }
    this.city = city;
    this.street = street;
    Object.freeze(this);
  }

  equals(other: Address): boolean {
    return this.city === other.city && this.street === other.street;
  }
}
