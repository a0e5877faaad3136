import { InvalidArgumentError } from './errors.ts';

/** Runs these tests, in this order, in one world. @returns those that failed */
export type RunInOrder = (order: readonly string[]) => Promise<ReadonlySet<string>>;

export interface Entanglement {
  readonly test: string;
  /** `suffers`: it fails behind `other`. `needs`: it fails without `other` before it. `alone`: it fails on its own account. `unsteady`: now so, now so. */
  readonly how: 'suffers' | 'needs' | 'alone' | 'unsteady';
  /** The other test. With `suffers` and `needs` only. */
  readonly other?: string;
}

export interface IsolationOptions {
  /** Orders that are tried besides the given one and its reverse, at most 1000. Default 3. */
  readonly shuffles?: number;
  /** From 0 to 1, for the shuffles. Default Math.random. */
  readonly random?: () => number;
  /** Ends the search between two runs; rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Which tests depend on each other: whose result changes with the order, and because of whom. A test whose result is the same
 * everywhere costs nothing more; for the others the list before it is halved until one is left.
 * @throws InvalidArgumentError for two tests of one name, and for `shuffles` that are no number of orders; whatever `run` throws
 */
export async function entanglements(
  tests: readonly string[],
  run: RunInOrder,
  o: IsolationOptions = {},
): Promise<Entanglement[]> {
  const { shuffles = 3, random = Math.random, signal } = o;
  if (!Number.isSafeInteger(shuffles) || shuffles < 0 || shuffles > 1000)
    throw new InvalidArgumentError(`shuffles is ${shuffles}: a whole number from 0 to 1000`);
  if (new Set(tests).size !== tests.length)
    throw new InvalidArgumentError('two tests have one name: nobody can tell them apart');
  const failsIn = async (order: readonly string[]) => {
    signal?.throwIfAborted();
    return run(order);
  };
  const fails = async (before: readonly string[], test: string) => (await failsIn([...before, test])).has(test);
  const orders = [tests, tests.toReversed(), ...Array.from({ length: shuffles }, () => inRandomOrder(tests, random))];
  const seen: { order: readonly string[]; failed: ReadonlySet<string> }[] = [];
  for (const order of orders) seen.push({ order, failed: await failsIn(order) });

  const found: Entanglement[] = [];
  for (const test of tests) {
    const bad = seen.find(({ failed }) => failed.has(test));
    if (!bad) continue;
    const good = seen.find(({ failed }) => !failed.has(test));
    const alone = await fails([], test);
    const told =
      good === undefined && alone ? { how: 'alone' as const } : await blame(test, alone, bad.order, good?.order ?? []);
    found.push({ test, ...told });
  }
  return found;

  async function blame(test: string, alone: boolean, bad: readonly string[], good: readonly string[]) {
    // Whoever is before it in an order in which it ends otherwise than alone.
    const order = alone ? good : bad;
    let before = order.slice(0, order.indexOf(test));
    const differs = async (some: readonly string[]) => (await fails(some, test)) !== alone;
    if (!(await differs(before))) return { how: 'unsteady' as const };
    while (before.length > 1) {
      const half = Math.ceil(before.length / 2);
      const parts = [before.slice(0, half), before.slice(half)];
      const part = (await differs(parts[0] ?? [])) ? parts[0] : (await differs(parts[1] ?? [])) ? parts[1] : undefined;
      // Two together: the last of them is named, with which it begins.
      if (part === undefined)
        return { how: alone ? ('needs' as const) : ('suffers' as const), other: before.join(' + ') };
      before = part;
    }
    const [other] = before;
    if (other === undefined || (await fails([], test)) !== alone) return { how: 'unsteady' as const };
    return { how: alone ? ('needs' as const) : ('suffers' as const), other };
  }
}

/** Fisher and Yates. */
export function inRandomOrder<T>(items: readonly T[], random: () => number): T[] {
  const left = [...items];
  const out: T[] = [];
  while (left.length > 0) out.push(...left.splice(Math.min(left.length - 1, Math.floor(random() * left.length)), 1));
  return out;
}
