import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import autoload from '@fastify/autoload';
import { tell } from '@shared/story';
import { consensus, contest, ratios, standingsTable } from '@shared/testkit';
import fastify, { type FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { z } from 'zod';
import { buildApp, definePlugin } from './src/index.ts';

const N = 30;
const tillFile = `const till = async (it) => void it.decorate('take', (cents) => cents + ' EUR');
export default Object.assign(till, { [Symbol.for('skip-override')]: true, [Symbol.for('plugin-meta')]: { name: 'till' } });`;
const stallFile = (cents: number) => `export const autoPrefix = '/stall-${cents}';
const stall = async (it) => {
  const pay = it.getDecorator('take');
  it.get('/', async () => pay(${cents}));
};
export default Object.assign(stall, { [Symbol.for('plugin-meta')]: { name: 'stall-${cents}', dependencies: ['till'] } });`;

await tell({ title: 'App plugins: beside fastify and its autoload', dir: import.meta.dirname }, async (story) => {
  await using bin = new AsyncDisposableStack();
  const till = definePlugin({
    name: 'till',
    config: z.object({ currency: z.string().default('EUR') }),
    setup: ({ config }) => ({ take: (cents: number) => `${cents} ${config.currency}` }),
  });
  const stall = definePlugin({
    name: 'stall',
    config: z.object({ cents: z.int() }),
    dependencies: [till],
    setup: ({ app, config, needs }) => void app.get('/', async () => needs.till.take(config.cents)),
  });
  const lab = () =>
    buildApp({
      plugins: [till.with(), ...Array.from({ length: N }, (_, cents) => stall.at(`/stall-${cents}`, { cents }))],
    });
  const plain = async (): Promise<{ app: FastifyInstance }> => {
    const app = fastify();
    const take = async (it: FastifyInstance) => void it.decorate('take', (cents: number) => `${cents} EUR`);
    app.register(fastifyPlugin(take, { name: 'till' }));
    for (let cents = 0; cents < N; cents++) {
      const sell = async (it: FastifyInstance) => {
        const pay = it.getDecorator<(cents: number) => string>('take');
        it.get('/', async () => pay(cents));
      };
      app.register(fastifyPlugin(sell, { name: 'stall', dependencies: ['till'], encapsulate: true }), {
        prefix: `/stall-${cents}`,
      });
    }
    await app.ready();
    return { app };
  };
  // The same as files, as autoload wants them; imported once, then from Node's cache.
  const dir = await mkdtemp(join(tmpdir(), 'stalls-'));
  bin.defer(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, 'till.mjs'), tillFile);
  for (let cents = 0; cents < N; cents++) await writeFile(join(dir, `stall-${cents}.mjs`), stallFile(cents));
  const loaded = async (): Promise<{ app: FastifyInstance }> => {
    const app = fastify();
    app.register(autoload, { dir, forceESM: true });
    await app.ready();
    return { app };
  };

  await story.scene(`Start and end: a till and ${N} stalls`, async () => {
    const standings = await contest(
      {
        lab: async () => (await lab()).close(),
        'fastify-plugin by hand': async () => (await plain()).app.close(),
        '@fastify/autoload': async () => (await loaded()).app.close(),
      },
      { workers: 1, rounds: 9, turnMs: 400 },
    );
    const [ours, byHand, auto] = standings;
    if (!ours || !byHand || !auto) throw new Error('three contestants');
    story.table(standingsTable(standings));
    const [one, two] = [consensus(ratios(ours, byHand)), consensus(ratios(ours, auto))];
    story.say(`Starts a second: ${one.text} of those by hand, ${two.text} of autoload’s.`);
  });

  await story.scene('Requests, a hundred a turn', async () => {
    const [ours, { app: theirs }] = [await lab(), await plain()];
    bin.defer(() => ours.close());
    bin.defer(() => theirs.close());
    const hundred = async (app: FastifyInstance) => {
      for (let n = 0; n < 100; n++) await app.inject(`/stall-${n % N}`);
    };
    const standings = await contest(
      { lab: () => hundred(ours), 'fastify-plugin by hand': () => hundred(theirs) },
      { workers: 1, rounds: 9, turnMs: 400 },
    );
    const [a, b] = standings;
    if (!a || !b) throw new Error('two contestants');
    story.table(standingsTable(standings));
    const { text, median } = consensus(ratios(a, b));
    story.verdict('Waiting for handlers and blanking secrets costs little', `${text} of fastify’s speed`, median > 0.7);
  });
});
