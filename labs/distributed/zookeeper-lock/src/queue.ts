/** One who stands in the queue of a lock: a node under the lock's path. */
export interface Contender {
  readonly name: string;
  /** The number that ZooKeeper appended: it counts what was made under this path. */
  readonly sequence: number;
  readonly mode: 'read' | 'write';
}

/**
 * Who stands in the queue, the first one first. Names without a number at the end don't; one of a foreign library, which
 * says nothing of reading, is a writer's.
 */
export function queueOf(names: readonly string[]): readonly Contender[] {
  return names
    .flatMap((name) => {
      const [, mode, own, foreign] = /-(read|write)-(-?\d{9,10})$|(?<=\D)(\d{10})$/.exec(name) ?? [];
      const digits = own ?? foreign;
      // A child whose own name ends in digits, as an order's or a phone's, is no place: ZooKeeper's number is Java's int.
      if (digits === undefined || Number(digits) >= 2 ** 31) return [];
      return [{ name, sequence: Number(digits), mode: mode === 'read' ? ('read' as const) : ('write' as const) }];
    })
    .sort((a, b) => inTurn(a.sequence, b.sequence));
}

/** ZooKeeper counts in 32 bits: after 2147483647 comes -2147483648 (RFC 1982). */
const inTurn = (a: number, b: number) => (a - b) | 0;

/** The one whom `own` waits for; undefined if it's its turn. */
export function blockerOf(queue: readonly Contender[], own: Contender): Contender | undefined {
  const before = queue.slice(0, queue.indexOf(own));
  // A reader waits for the last writer before it, whoever reads in between; a writer for whoever stands before it.
  return own.mode === 'read' ? before.findLast(({ mode }) => mode === 'write') : before.at(-1);
}
