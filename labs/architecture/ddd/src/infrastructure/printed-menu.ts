import type { Dish, Size } from '../domain/dish.ts';
import { UnknownDishError } from '../domain/errors.ts';
import { Money } from '../domain/money.ts';
import type { Menu } from '../domain/ports.ts';

/** A menu that is known when the process starts. `prices`: dish → size → amount as printed, such as "128.00". */
export class PrintedMenu implements Menu {
  readonly #prices: ReadonlyMap<string, Money>;

  /** @throws InvalidValueError on a price that is none. */
  constructor(currency: string, prices: Readonly<Record<string, Readonly<Partial<Record<Size['name'], string>>>>>) {
    const entries = Object.entries(prices).flatMap(([name, sizes]) =>
      Object.entries(sizes).map(
        ([size, price]) => [`${size} ${name.normalize('NFC')}`, Money.parse(price, currency)] as const,
      ),
    );
    this.#prices = new Map(entries);
  }

  async priceOf(dish: Dish): Promise<Money> {
    const price = this.#prices.get(`${dish.size} ${dish.name}`);
    if (!price) throw new UnknownDishError(`${dish.size} ${dish.name}`);
    return price;
  }
}
