// The notice board, to be tried by hand in two browsers. `pnpm lab websocket board --hold`, then open the addresses.
import { startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { openHall } from '../test/chat.ts';

await tell({ title: 'One board, two halls', dir: import.meta.dirname }, async (story) => {
  const redis = await story.use(startRedis());
  const options = { redis: redis.nodes[0].url, prefix: `${redis.namespace}board:`, secret: crypto.randomUUID() };
  const halls = await Promise.all([openHall(options), openHall(options)]);
  const close = () => Promise.all(halls.map((hall) => hall.close())).then(() => {});
  await story.use({ banner: 'two halls', inspect: [], [Symbol.asyncDispose]: close });
  const pages = [`${halls[0].url}/?as=Ada`, `${halls[1].url}/?as=Mei`];
  const answers = await Promise.all(pages.map((page) => fetch(page)));
  story.verdict(
    'Open these two',
    pages.join('  '),
    answers.every(({ ok }) => ok),
  );
});
