import { Registry } from '../src/index.ts';

export abstract class Payment {
  abstract pay(cents: number): string;
}

/** The registry that test/card.ts registers itself in, each time that it is evaluated. */
export const payments = new Registry(Payment);
