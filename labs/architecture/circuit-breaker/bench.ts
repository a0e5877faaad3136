import { tell } from '@shared/story';
import { contest, ratio, type Standing } from '@shared/testkit';
import { circuitBreaker, handleAll, SamplingBreaker, TimeoutStrategy, timeout, wrap } from 'cockatiel';
import Opossum from 'opossum';
import { CircuitBreaker } from './src/index.ts';

/** Calls in one measured operation, so that the measuring itself weighs little. */
const BATCH = 100;
const NEVER = 1_000_000_000;
const HOUR = 3_600_000;
const DOWN = new Error('503');

const ok = async () => 'paid';
const fail = () => Promise.reject(DOWN);
const batch = (call: () => Promise<unknown>) => async () => {
  for (let n = 0; n < BATCH; n++) await call().catch(ignore);
};
const ignore = () => {};

const micros = (perSecond: number) => 1_000_000 / (perSecond * BATCH);
const columns = ['', 'µs a call', 'spread', 'lab is faster'].map((label, index) =>
  index === 0 ? label : { label, align: 'right' as const },
);
const table = (standings: readonly Standing[]) => {
  const lab = standings.find(({ name }) => name === 'lab');
  return standings.map((each) => [
    each.name,
    micros(each.perSecond).toFixed(2),
    `${micros(each.spread[1]).toFixed(2)}–${micros(each.spread[0]).toFixed(2)}`,
    lab && each !== lab && each.name !== 'no policy' ? `${ratio(lab, each).toFixed(1)} ×` : '',
  ]);
};

await tell({ title: 'The price of a fuse, against opossum and cockatiel', dir: import.meta.dirname }, async (story) => {
  using bin = new DisposableStack();
  /** The same rules for all three: half of the calls of 10 s, in ten parts. */
  const lab = (minCalls: number, timeoutMs?: number) =>
    new CircuitBreaker({ minCalls, openMs: HOUR, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  const opossum = (action: () => Promise<unknown>, minCalls: number, timeoutMs: number | false, percentiles = true) => {
    const circuit = new Opossum(action, {
      timeout: timeoutMs,
      volumeThreshold: minCalls,
      resetTimeout: HOUR,
      rollingPercentilesEnabled: percentiles,
    });
    bin.defer(() => circuit.shutdown());
    return circuit;
  };
  const cockatiel = (minimumRps: number) =>
    circuitBreaker(handleAll, {
      halfOpenAfter: HOUR,
      breaker: new SamplingBreaker({ threshold: 0.5, duration: 10_000, minimumRps }),
    });
  const race = (contestants: Record<string, () => Promise<unknown>>) =>
    contest(Object.fromEntries(Object.entries(contestants).map(([name, call]) => [name, batch(call)])), {
      rounds: 15,
      turnMs: 150,
    });
  /** `floors`: how many times faster than this peer the lab has to be; below 1, how much slower it may be. */
  const show = (standings: readonly Standing[], floors: Readonly<Record<string, number>>) => {
    story.table({ columns, rows: table(standings) });
    const ours = standings.find(({ name }) => name === 'lab');
    for (const [peer, floor] of Object.entries(floors)) {
      const theirs = standings.find(({ name }) => name === peer);
      if (!ours || !theirs) continue;
      const price = 1 / ratio(ours, theirs);
      const most = 1 / floor;
      story.verdict(
        `a call costs at most ${most.toFixed(1)} × what it costs with ${peer}`,
        `${price < 0.1 ? price.toFixed(3) : price.toFixed(2)} ×`,
        price <= most,
      );
    }
  };

  await story.scene('Closed: the call succeeds', async () => {
    const [a, b, c] = [lab(20), opossum(ok, 20, false), cockatiel(2)];
    const standings = await race({
      'no policy': ok,
      lab: () => a.run(ok),
      opossum: () => b.fire(),
      cockatiel: () => c.execute(ok),
    });
    show(standings, { opossum: 1.5, cockatiel: 1 / 1.1 });
  });

  await story.scene('Closed, with a time limit of a second', async () => {
    const [a, b] = [lab(20, 1_000), opossum(ok, 20, 1_000)];
    const c = wrap(cockatiel(2), timeout(1_000, TimeoutStrategy.Aggressive));
    const standings = await race({
      lab: () => a.run(ok),
      opossum: () => b.fire(),
      cockatiel: () => c.execute(ok),
    });
    story.say('The lab and cockatiel give each call a signal of its own; opossum gives none.');
    show(standings, { opossum: 1, cockatiel: 5 });
  });

  await story.scene('Failing, and too few to open', async () => {
    const [a, b, c] = [lab(NEVER), opossum(fail, NEVER, false), cockatiel(NEVER)];
    const plain = opossum(fail, NEVER, false, false);
    const standings = await race({
      lab: () => a.run(fail),
      opossum: () => b.fire(),
      'opossum, no percentiles': () => plain.fire(),
      cockatiel: () => c.execute(fail),
    });
    show(standings, { opossum: 5, 'opossum, no percentiles': 2, cockatiel: 1 });
  });

  await story.scene('Open: refused', async () => {
    const [a, b, c] = [lab(20), opossum(fail, 20, false), cockatiel(0.001)];
    for (let n = 0; n < 30; n++) {
      await a.run(fail).catch(ignore);
      await b.fire().catch(ignore);
      await c.execute(fail).catch(ignore);
    }
    const states = [a.state, b.opened ? 'open' : 'closed', c.state === 1 ? 'open' : 'closed'];
    story.verdict(
      'all three are open',
      states.join(', '),
      states.every((state) => state === 'open'),
    );
    const standings = await race({
      lab: () => a.run(ok),
      opossum: () => b.fire(),
      cockatiel: () => c.execute(ok),
    });
    story.say(
      'A refusal of the lab carries its message, its time and no stack; the others build a stack trace each time.',
    );
    show(standings, { opossum: 1.5, cockatiel: 1.5 });
  });
});
