/** Stories that end in every way a story can; which one says the environment variable STORY. */
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Story, tell } from '../../src/index.ts';

/** The tests read here what was cleaned up, in which order. */
function log(line: string): void {
  if (process.env['LOG'] !== undefined) appendFileSync(process.env['LOG'], `${line}\n`);
}

function server(name: string, stop: () => Promise<void> = async () => {}) {
  return {
    banner: `${name} ×1: simulated`,
    inspect: [`${name}-cli -p 1234`],
    async [Symbol.asyncDispose]() {
      await stop();
      log(`stopped ${name}`);
    },
  };
}

class MissingServerError extends Error {
  override readonly name = 'MissingServerError';
  readonly exitCode = 3;
}

const stories: Record<string, (story: Story) => Promise<void>> = {
  async holds(story) {
    await story.use(Promise.resolve(server('redis')));
    await story.use(Promise.resolve(server('postgres')));
    await story.scene('One', async () => {
      console.log('a library logs');
      story.progress('working', 3).tick();
      story.bars({ title: 'Chart', items: [{ label: 'a', value: Number.NaN }], picture: true });
      story.verdict('it is so', `${story.random()}`, true);
    });
  },
  async fails(story) {
    story.verdict('it is so', '1 of 2', true);
    story.verdict('it is not', '2 of 2', false);
  },
  async silent(story) {
    story.say('Much is said and nothing shown.');
  },
  async throws(story) {
    await story.use(Promise.resolve(server('redis')));
    await story.scene('One', async () => {
      story.verdict('it is so', '1 of 1', true);
      throw new TypeError('the scene broke', { cause: new Error('a deeper cause') });
    });
    log('went on');
  },
  async unawaited(story) {
    story.verdict('it is so', '1 of 1', true);
    story.scene('Nobody waits', () => sleep(50)).catch(() => {});
  },
  async nested(story) {
    await story.scene('Outer', () => story.scene('Inner', async () => {}));
  },
  async missing(story) {
    const start = async (): Promise<ReturnType<typeof server>> => {
      throw new MissingServerError('redis is not installed\n  apt-get install redis-server');
    };
    await story.use(Promise.resolve(server('postgres')));
    await story.use(start());
  },
  async rejection(story) {
    await story.use(Promise.resolve(server('redis')));
    void Promise.reject(new Error('nobody caught this'));
    await sleep(60_000, undefined, { signal: story.signal });
  },
  async exception(story) {
    await story.use(Promise.resolve(server('redis')));
    setTimeout(() => {
      throw new Error('thrown from a timer');
    }, 1);
    await sleep(60_000);
  },
  async stuck(story) {
    await story.use(Promise.resolve(server('redis')));
    await story.scene('Waits', () => new Promise(() => {}));
  },
  async waits(story) {
    await story.use(Promise.resolve(server('redis')));
    await story.use(Promise.resolve(server('postgres')));
    try {
      story.say('ready');
      await sleep(60_000, undefined, { signal: story.signal });
    } finally {
      log('unwound');
    }
  },
  async deaf(story) {
    await story.use(Promise.resolve(server('redis', () => sleep(60_000))));
    story.say('ready');
    await sleep(60_000);
  },
  async starting(story) {
    story.say('ready');
    await story.use(sleep(400).then(() => server('slow')));
  },
  async undisposable(story) {
    await story.use(Promise.resolve(server('redis')));
    await story.use(
      Promise.resolve(
        server('postgres', async () => {
          throw new Error('it will not stop');
        }),
      ),
    );
    if (process.env['BODY'] === 'throws') throw new Error('the body broke first');
    story.verdict('it is so', '1 of 1', true);
  },
  async chatty(story) {
    await story.use(Promise.resolve(server('redis')));
    for (let i = 0; i < 100_000; i++) {
      story.say(`line ${i}`);
      if (i % 100 === 0) await sleep(1);
    }
    story.verdict('it is so', '1 of 1', true);
  },
  async long(story) {
    for (let i = 0; i < 3000; i++) story.say(`line ${i} ${'x'.repeat(60)}`);
    story.verdict('it is so', '1 of 1', true);
  },
  async leaks(story) {
    setInterval(() => {}, 1000);
    const { createServer } = await import('node:net');
    createServer().listen(0, '127.0.0.1');
    story.verdict('it is so', '1 of 1', true);
  },
  async twice(story) {
    const bars = { items: [], picture: true };
    story.bars({ title: 'First', ...bars });
    story.bars({ title: 'Second', ...bars });
  },
  async lost(story) {
    story.code('queues.ts', { from: 'no line says this' });
  },
  async open(story) {
    story.timeline({ title: 'Held', lanes: [{ label: 'A', spans: [{ from: 0, to: Number.POSITIVE_INFINITY }] }] });
  },
};

const body = stories[process.env['STORY'] ?? 'holds'];
if (body === undefined) throw new Error(`no story ${process.env['STORY']}`);
await tell({ title: 'A story', dir: import.meta.dirname, next: ['`pnpm lab learn story`'] }, body);
