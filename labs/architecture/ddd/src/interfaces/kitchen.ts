import type { DomainEvent } from '../domain/events.ts';

/** What a cook needs, in the language of the kitchen: grams and heat. Nothing about money, vouchers or customers. */
export type Ticket = {
  readonly orderId: string;
  readonly pans: readonly { readonly ingredients: Readonly<Record<string, number>>; readonly chillies: number }[];
};

/** Dish → ingredient → grams in a large portion. The kitchen's own book. */
export type RecipeBook = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** Per cent of a large one: 3 g × 80 / 100 is what scales show, 3 g × 0.8 is 2.4000000000000004. */
const portion: Readonly<Record<string, number>> = { small: 50, medium: 80, large: 100 };
const chillies: Readonly<Record<string, number>> = { none: 0, mild: 3, medium: 8, hot: 20 };

/**
 * The border between two bounded contexts: Ordering's published language in, the kitchen's out. "Large, medium hot" is
 * so many grams and so many chillies here and nowhere else. Undefined for an event that is no news to the kitchen.
 *
 * @throws Error on a dish, size or heat that the book doesn't have: the two contexts have drifted apart.
 */
export function kitchenTicket(event: DomainEvent, book: RecipeBook): Ticket | undefined {
  if (event.type !== 'order-paid') return undefined;
  // Ordering tells names in their composed form (NFC); a book may have been written in another.
  const recipes = new Map(Object.entries(book).map(([dish, recipe]) => [dish.normalize('NFC'), recipe]));
  const pans = event.dishes.flatMap(({ name, size, spiciness, quantity }) => {
    const [recipe, percent, heat] = [recipes.get(name), known(portion, size), known(chillies, spiciness)];
    if (!recipe || percent === undefined || heat === undefined) {
      throw new Error(`The kitchen has no recipe for ${size} ${name}, ${spiciness} spice: add it to the book.`);
    }
    const ingredients = Object.fromEntries(
      Object.entries(recipe).map(([what, grams]) => [what, (grams * percent) / 100]),
    );
    return Array.from({ length: quantity }, () => ({ ingredients, chillies: heat }));
  });
  return { orderId: event.orderId, pans };
}

/** The words come from another context: `constructor` is something that every object has. */
const known = <T>(list: Readonly<Record<string, T>>, word: string) =>
  Object.hasOwn(list, word) ? list[word] : undefined;
