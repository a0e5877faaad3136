import { ClassDefinitionError } from './errors.ts';

/**
 * The order in which a class and its bases are asked: C3. Each class comes before its bases, and bases stay in the order
 * in which they were named.
 * Source: https://docs.python.org/3/howto/mro.html
 *
 * @throws ClassDefinitionError when there is no such order.
 */
export function linearize<C extends { readonly name: string; readonly mro: readonly C[] }>(
  name: string,
  bases: readonly C[],
): readonly C[] {
  const rows = [...bases.map(({ mro }) => [...mro]), [...bases]];
  const order: C[] = [];
  while (rows.some((row) => row.length > 0)) {
    const next = rows.map(([head]) => head).find((head) => head && !rows.some((row) => row.indexOf(head) > 0));
    if (next === undefined) {
      const left = [...new Set(rows.flat())].map((each) => each.name).join(', ');
      throw new ClassDefinitionError(
        `${name}: no order of ${left} keeps every class before its bases. Reorder the bases.`,
      );
    }
    order.push(next);
    for (const row of rows) if (row[0] === next) row.shift();
  }
  return order;
}
