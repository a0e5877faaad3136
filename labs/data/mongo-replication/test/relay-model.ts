import type { Random } from '@shared/testkit';
import type { Entry } from '../src/index.ts';

/**
 * A model, no MongoDB: three copies of a notebook. A page goes into the leader's copy, and from there to the others, in
 * order, when it gets to it. A leader that is cut off writes on until it notices; the other two elect whoever has more
 * pages. The old one comes back, and takes out what the new leader has not.
 *
 * It has the rules of the manual (https://www.mongodb.com/docs/manual/core/replica-set-rollbacks/), and no clocks,
 * heartbeats or terms that fail.
 */
export function relayFailover(dice: Random, w: 1 | 'majority'): { entries: Entry[]; survivors: string[] } {
  const [leader, ...others]: [string[], string[], string[]] = [[], [], []];
  const entries: Entry[] = [];
  const waiting: { id: string; pages: number }[] = [];
  let clock = 0;
  const note = (id: string, outcome: Entry['outcome']) => void entries.push({ id, outcome, at: clock++ });
  const copy = (other: string[]) => {
    const next = leader[other.length];
    if (next !== undefined) other.push(next);
    for (const { id, pages } of waiting.splice(0)) {
      if (others.some((it) => it.length >= pages)) note(id, 'acknowledged');
      else waiting.push({ id, pages });
    }
  };
  const write = (id: string) => {
    leader.push(id);
    if (w === 1) note(id, 'acknowledged');
    else waiting.push({ id, pages: leader.length });
  };
  const before = dice.int(10, 40);
  for (let n = 0; n < before; n++) {
    write(`before ${n}`);
    for (let copies = dice.int(0, 3); copies > 0; copies--) copy(dice.pick(others));
  }
  // Cut off: it still takes what it is given, and nobody copies it.
  for (let n = dice.int(1, 10); n > 0; n--) write(`cut off ${n}`);
  for (const { id } of waiting) note(id, 'unknown');
  const [a = [], b = []] = others;
  const survivors = [...(a.length >= b.length ? a : b)];
  for (let n = dice.int(1, 10); n > 0; n--) {
    survivors.push(`after ${n}`);
    note(`after ${n}`, 'acknowledged');
  }
  return { entries, survivors };
}
