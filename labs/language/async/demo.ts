import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { tell } from '@shared/story';
import { outcome } from '@shared/testkit';
import { Semaphore as LeakySemaphore } from './pitfalls/permit-leaked.ts';
import { taskGroup as promiseAll } from './pitfalls/promise-all.ts';
import { timeout as raced } from './pitfalls/promise-race.ts';
import { mapBounded as starving } from './pitfalls/starved-timers.ts';
import { Channel as UnboundedChannel } from './pitfalls/unbounded-channel.ts';
import {
  Channel,
  mapBounded,
  Semaphore,
  sleep,
  TimeoutError,
  taskGroup,
  timeout,
  UnresponsiveError,
} from './src/index.ts';

const ms = (value: number) => `${value.toFixed(0)} ms`;
const errorOf = (promise: Promise<unknown>) => outcome(promise, 10_000).then(({ error }) => error);

const options = {
  title: 'Async concurrency 协程与并发',
  subtitle: 'The kitchen: one cook, many pots, and who turns off the stove when the guest has left',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  await story.scene('The soup is sold out, and the card is charged', async () => {
    story.say(
      'Three things at once for each order: ask the kitchen (after 10 ms: sold out), find a table, charge the card, which ' +
        'takes 30 ms of filling in a form. The guest is told when the first of them fails.',
    );
    const order = async (group: typeof taskGroup) => {
      const start = performance.now();
      const now = () => performance.now() - start;
      const steps: { label: string; from: number; to: number }[] = [];
      let charged = 0;
      const step = async (label: string, work: Promise<unknown>) => {
        const from = now();
        await work.finally(() => steps.push({ label, from, to: now() }));
      };
      await errorOf(
        group(({ spawn }) => {
          spawn(() =>
            step(
              'soup',
              sleep(10).then(() => Promise.reject(new Error('sold out'))),
            ),
          );
          spawn((signal) => step('table', sleep(60, { signal })));
          spawn((signal) =>
            step(
              'card',
              sleep(30, { signal }).then(() => charged++),
            ),
          );
        }),
      );
      const told = now();
      await sleep(70 - told);
      return { charged, told, steps };
    };
    const lanesOf = (name: string, { steps, told }: Awaited<ReturnType<typeof order>>) =>
      ['soup', 'table', 'card'].map((step) => ({
        label: `${step}, ${name}`,
        spans: steps
          .filter(({ label }) => label === step)
          .flatMap(({ from, to }) => [
            { from, to: Math.min(to, told), tone: 'good' as const },
            ...(to > told ? [{ from: told, to, label: 'goes on', tone: 'bad' as const }] : []),
          ]),
        marks: step === 'soup' ? [{ at: told, label: 'guest is told' }] : [],
      }));
    story.timeline({
      title: 'One order that fails, twice',
      unit: 'ms',
      picture: true,
      lanes: [...lanesOf('Promise.all', await order(promiseAll)), ...lanesOf('taskGroup', await order(taskGroup))],
    });
    const orders = async (group: typeof taskGroup) => {
      const all = await Promise.all(Array.from({ length: 20 }, () => order(group)));
      return all.filter(({ charged }) => charged > 0).length;
    };
    const [charged, spared] = [await orders(promiseAll), await orders(taskGroup)];
    const claim = 'Promise.all tells the guest that there is no soup, and charges the card';
    story.verdict(claim, `${charged} of 20 cards`, charged === 20);
    story.code('src/task-group.ts', { from: 'if (!isCancellation(error', to: 'controller.abort(reason)' });
    story.verdict('taskGroup stops the siblings, then tells the guest', `${spared} of 20 cards`, spared === 0);
  });

  await story.scene('A limit that only stops the waiting', async () => {
    story.say('A roast wants ten turns, one every 10 ms. The guest waits 35 ms. Who goes on turning after that?');
    const roast = async (limit: typeof timeout) => {
      let turns = 0;
      const work = async (signal: AbortSignal) => {
        for (; turns < 10; turns++) await sleep(10, { signal });
      };
      const error = await errorOf(limit(35, work));
      const told = turns;
      await sleep(100);
      return { late: error instanceof TimeoutError, more: turns - told };
    };
    const [before, after] = [await roast(raced), await roast(timeout)];
    story.verdict('Promise.race leaves the work running', `${before.more} more turns`, before.late && before.more > 0);
    const claim = 'timeout tells it to stop, and waits until it has';
    story.verdict(claim, `${after.more} more turns`, after.late && after.more === 0);
    const start = performance.now();
    const deaf = await errorOf(timeout(35, () => sleep(1_000), { graceMs: 40 }));
    story.verdict(
      'Work that ignores its signal is reported when its grace is over',
      `${deaf instanceof Error ? deaf.name : 'no error'} after ${ms(performance.now() - start)} (35 + 40)`,
      deaf instanceof UnresponsiveError,
    );
  });

  await story.scene('A thousand suppliers at once', async () => {
    story.say('A real HTTP server answers after 10 ms. It has room for 100 requests; the 101st is told 503.');
    let [serving, most] = [0, 0];
    const server = createServer((_, response) => {
      most = Math.max(most, ++serving);
      const full = serving > 100;
      setTimeout(() => {
        serving--;
        response.writeHead(full ? 503 : 200).end('12');
      }, 10);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/price`;
    const suppliers = Array.from({ length: 1_000 }, (_, supplier) => supplier);
    const shop = async (ask: (fetchOne: (supplier: number) => Promise<void>) => Promise<unknown>) => {
      let [inFlight, peak, refused] = [0, 0, 0];
      most = 0;
      await ask(async () => {
        peak = Math.max(peak, ++inFlight);
        const response = await fetch(url).catch(() => undefined);
        if (response?.status !== 200) refused++;
        await response?.text();
        inFlight--;
      });
      return { peak, most, refused };
    };
    try {
      const unbounded = await shop((fetchOne) => Promise.all(suppliers.map(fetchOne)));
      const bounded = await shop(async (fetchOne) => {
        for await (const _ of mapBounded(suppliers, 10, fetchOne));
      });
      story.table({
        columns: ['1,000 prices', 'under way here', 'at the server', 'refused or failed'],
        rows: [
          ['Promise.all(map)', unbounded.peak, unbounded.most, unbounded.refused],
          ['mapBounded, 10', bounded.peak, bounded.most, bounded.refused],
        ],
      });
      story.verdict('Promise.all asks them all at once', `${unbounded.peak} under way`, unbounded.peak === 1_000);
      const { peak, refused } = bounded;
      const claim = 'mapBounded asks ten at a time, and gets every price';
      story.verdict(claim, `${peak} under way, ${refused} refused`, peak === 10 && refused === 0);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  await story.scene('The shelf between cook and waiter', async () => {
    story.say(
      'The cook makes 500 plates as fast as he can; the waiter carries 50 in a millisecond. The shelf is for 5.',
    );
    const evening = async (Shelf: typeof Channel) => {
      const shelf = new Shelf<number>(5);
      let [most, served] = [0, 0];
      await taskGroup(({ spawn, signal }) => {
        spawn(async () => {
          for (let plate = 1; plate <= 500; plate++) {
            await shelf.put(plate, { signal });
            most = Math.max(most, shelf.size);
          }
          shelf.close();
        });
        spawn(async () => {
          for await (const _ of shelf) if (++served % 50 === 0) await sleep(1, { signal });
        });
      });
      return { most, text: `at most ${most} plates get cold, ${served} served`, all: served === 500 };
    };
    const [endless, bounded] = [await evening(UnboundedChannel), await evening(Channel)];
    story.verdict('A queue without an end piles up', endless.text, endless.most > 5);
    story.verdict('A bounded channel holds the cook back', bounded.text, bounded.most <= 5 && bounded.all);
  });

  await story.scene('Two ovens, and guests who leave the line', async () => {
    story.say('Both ovens are in use. Five guests wait, and give up after 5 ms. Then the ovens are free: who is next?');
    const evening = async (Ovens: typeof Semaphore) => {
      const ovens = new Ovens(2);
      const baking = [await ovens.acquire(), await ovens.acquire()];
      const ask = (within: number) => errorOf(timeout(within, (signal) => ovens.acquire({ signal })));
      await Promise.all(Array.from({ length: 5 }, () => ask(5)));
      for (const oven of baking) oven[Symbol.dispose]();
      const served = (await ask(200)) === undefined;
      return { served, text: `the next guest: ${served ? 'served' : 'not served within 200 ms'}` };
    };
    const [leaky, sound] = [await evening(LeakySemaphore), await evening(Semaphore)];
    story.verdict('A place in the line that outlives its guest swallows the oven', leaky.text, !leaky.served);
    story.code('src/line.ts', { from: 'using _ = onAbort', to: '});' });
    story.verdict('Who leaves takes his place with him', sound.text, sound.served);
  });

  await story.scene('The cook who never looks up', async () => {
    story.say('A bell is set for 5 ms. A loop over values that are at hand runs for 150 ms, with an `await` for each.');
    const bell = async (map: typeof mapBounded) => {
      const start = performance.now();
      let [rang, over, meanwhile] = [Number.NaN, false, false];
      setTimeout(() => {
        rang = performance.now() - start;
        meanwhile = !over;
      }, 5);
      const plates = (function* () {
        // Its own time: what others take from it on a busy machine is not the cook's doing.
        for (const from = process.cpuUsage(); process.cpuUsage(from).user < 150_000; ) yield 'plate';
      })();
      for await (const _ of map(plates, 4, (plate) => plate));
      over = true;
      await sleep(0);
      return { rang, meanwhile };
    };
    const [late, soon] = [await bell(starving), await bell(mapBounded)];
    story.verdict('A loop of awaits starves the timer', `it rang at ${ms(late.rang)}`, !late.meanwhile);
    story.verdict(
      'mapBounded lets the others have a turn every 64 values',
      `it rang at ${ms(soon.rang)}`,
      soon.meanwhile,
    );
  });

  await story.scene('The kitchen that closes while somebody waits', async () => {
    story.say('A process that waits for nothing but a limit of 50 ms. Does it live to see it?');
    const run = (waiting: string) => {
      const program = `${waiting}; console.log('the limit has come')`;
      const args = ['--input-type=module', '--no-warnings', '-e', program];
      return new Promise<{ saw: boolean; text: string }>((resolve) => {
        execFile(process.execPath, args, { timeout: 60_000 }, (error, stdout) => {
          const [code, saw] = [error?.code ?? 0, stdout.includes('limit')];
          resolve({ saw, text: `ended with code ${code}, ${saw ? 'after' : 'before'} the limit` });
        });
      });
    };
    const native = "await new Promise((go) => AbortSignal.timeout(50).addEventListener('abort', go))";
    const ours = `const { timeout } = await import(${JSON.stringify(new URL('./src/index.ts', import.meta.url).href)});
      await timeout(50, (signal) => new Promise((go) => signal.addEventListener('abort', go)))`;
    const [unheld, held] = await Promise.all([run(native), run(ours)]);
    story.verdict("AbortSignal.timeout doesn't hold the process", unheld.text, !unheld.saw);
    story.verdict('timeout does', held.text, held.saw);
  });
});
