import { until } from '@shared/testkit';
import { type House, house, startLab } from '../house.ts';

/** Two scenes: prose with code, a chart, a table, a verdict each; its seed is told. */
const demo = `import { tell } from '@shared/story';

await tell({ title: 'Once', dir: import.meta.dirname }, async (story) => {
  await story.scene('Called twice', async () => {
    story.say('A function is called **twice**, by \`once\`.\\n\\n- the first call runs it\\n- the second does not');
    story.code('src/once.ts', { from: 'export function once', to: 'let outcome' });
    const items = [{ label: 'plain', value: 2, tone: 'bad' }, { label: 'once', value: 1, tone: 'good' }] as const;
    story.bars({ title: 'Runs', items });
    story.verdict('It ran once', '1 run of 2 calls', true);
  });
  await story.scene('Called <b>thrice</b>', async () => {
    story.table({ columns: ['caller', 'runs'], rows: [['<img src=x onerror=hostile=1>', 1]] });
    story.verdict('It still ran once', '1 run of 3 calls', true);
  });
});
`;

/** Starts a Redis, says where, and stays until it is ended. */
export const staying = `import { writeFile } from 'node:fs/promises';
import { tell } from '@shared/story';
import { startRedis } from '@shared/services';

await tell({ title: 'Staying', dir: import.meta.dirname }, async (story) => {
  await story.scene('Stay', async () => {
    const redis = await story.use(startRedis());
    await writeFile(process.env.STAYING ?? '', JSON.stringify({ pid: process.pid, url: redis.nodes[0].url }));
    await new Promise(() => setInterval(() => {}, 1000));
  });
});
`;

export interface Web extends AsyncDisposable {
  readonly url: string;
  readonly house: House;
  /** As SIGKILL does. */
  kill(): void;
}

/** `pnpm lab web` on a repository of its own. */
export async function web(files: Readonly<Record<string, string>> = {}, env: NodeJS.ProcessEnv = {}): Promise<Web> {
  const made = await house({ 'demo.ts': demo, ...files });
  const { child, ended, output } = startLab(made.root, ['web'], { LABS_SERVICES: 'embedded', ...env });
  const url = await until(() => /http:\/\/127\.0\.0\.1:\d+\//.exec(output())?.[0], {
    timeoutMs: 30_000,
    what: 'the address of the pages',
  });
  return {
    url,
    house: made,
    kill: () => void child.kill('SIGKILL'),
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
      await made[Symbol.asyncDispose]();
    },
  };
}
