import { text } from './text.ts';

/** Where the order goes. A value: who moves gets a new one, and stays who he is. */
export class Address {
  readonly city: string;
  readonly street: string;

  /** @throws InvalidValueError when a part is empty, longer than 200 characters, or no text. */
  constructor(city: string, street: string) {
    this.city = text('City', city, 200);
    this.street = text('Street', street, 200);
    Object.freeze(this);
  }

  equals(other: Address): boolean {
    return this.city === other.city && this.street === other.street;
  }
}
