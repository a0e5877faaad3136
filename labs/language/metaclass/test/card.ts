import { Payment, payments } from './shop.ts';

export class Card extends Payment {
  static {
    payments.register('card', import.meta.url)(Card);
  }

  pay(cents: number): string {
    return `card ${cents}`;
  }
}
