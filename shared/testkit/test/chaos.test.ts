import { expect, test } from 'vitest';
import { chaos, until } from '../src/index.ts';

class FakeNode {
  readonly index: number;
  down = false;
  worst: () => void;

  constructor(index: number, worst: () => void) {
    this.index = index;
    this.worst = worst;
  }

  #set(down: boolean): Promise<void> {
    this.down = down;
    this.worst();
    return Promise.resolve();
  }
  kill = () => this.#set(true);
  restart = () => this.#set(false);
  pause = () => this.#set(true);
  resume = () => this.#set(false);
}

function fleet(size: number) {
  let most = 0;
  const nodes: FakeNode[] = [];
  const worst = () => {
    most = Math.max(most, nodes.filter(({ down }) => down).length);
  };
  nodes.push(...Array.from({ length: size }, (_, i) => new FakeNode(i, worst)));
  return { nodes, most: () => most };
}

/** The schedule without its milliseconds. */
const events = (log: readonly string[]) => log.map((line) => line.replace(/^\d+ ms /, ''));

test('never more nodes are down than allowed, and all are up after stop', async () => {
  const { nodes, most } = fleet(5);
  const storm = chaos({ seed: 1, nodes, atMostDown: 2, faults: ['kill', 'pause'], everyMs: [0, 1] });
  await until(() => storm.log.length >= 60, { what: '60 events' });
  await storm.stop();
  expect(most()).toBe(2);
  expect(nodes.filter(({ down }) => down)).toEqual([]);
});

test('one seed gives one schedule', async () => {
  const logs = await Promise.all(
    [0, 1].map(async () => {
      const storm = chaos({
        seed: 42,
        nodes: fleet(3).nodes,
        atMostDown: 1,
        faults: ['kill', 'pause'],
        everyMs: [0, 1],
      });
      await until(() => storm.log.length >= 20, { what: '20 events' });
      const seen = events(storm.log).slice(0, 20);
      await storm.stop();
      return seen;
    }),
  );
  expect(logs[0]).toEqual(logs[1]);
});

test('a partition cuts and heals the link in front of the node', async () => {
  const { nodes } = fleet(1);
  const calls: string[] = [];
  const links = [{ partition: () => void calls.push('cut'), heal: () => void calls.push('healed') }];
  const storm = chaos({ seed: 1, nodes, atMostDown: 1, faults: ['partition'], everyMs: [0, 1], links });
  await until(() => calls.length > 0, { what: 'a partition' });
  await storm.stop();
  expect(calls[0]).toBe('cut');
  expect(calls.at(-1)).toBe('healed');
});

test('a partition without proxies is refused at once', () => {
  const { nodes } = fleet(3);
  const start = () => chaos({ seed: 1, nodes, atMostDown: 1, faults: ['partition'], everyMs: [0, 1] });
  expect(start).toThrow('a partition needs a proxy a node: 0 links for 3 nodes');
});

test('stop rejects with the error of a fault that failed, and still heals the others', async () => {
  const { nodes } = fleet(2);
  const [first] = nodes;
  if (first) first.kill = () => Promise.reject(new Error('no permission'));
  const storm = chaos({ seed: 1, nodes, atMostDown: 2, faults: ['kill'], everyMs: [0, 1] });
  await until(() => storm.log.some((line) => line.endsWith('kill node 0')), { what: 'the fault that fails' });
  await expect(storm.stop()).rejects.toThrow('no permission');
  expect(nodes.filter(({ down }) => down)).toEqual([]);
});

test('an abort ends the schedule', async () => {
  const halt = new AbortController();
  const { nodes } = fleet(2);
  const storm = chaos({ seed: 1, nodes, atMostDown: 1, faults: ['kill'], everyMs: [0, 1], signal: halt.signal });
  await until(() => storm.log.length > 0);
  halt.abort();
  await storm.stop();
  const { length } = storm.log;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(storm.log.length).toBe(length);
});
