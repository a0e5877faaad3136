import type { Dish } from '../../src/domain/dish.ts';
import { PrintedMenu as Given } from '../../src/infrastructure/printed-menu.ts';
import { Money } from '../domain/money.ts';

/** Given: the menu of src/infrastructure/printed-menu.ts, with prices that are amounts of yours. */
export class PrintedMenu extends Given {
  override async priceOf(dish: Dish): Promise<Money> {
    const { minor, currency } = await super.priceOf(dish);
    return Money.of(minor, currency);
  }
}
