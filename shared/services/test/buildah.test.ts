import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWith } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import { BuildFailedError } from '../src/image.ts';
import { buildKitSteps, imageEngine } from '../src/image-engine.ts';
import { MissingServerError, startBuilder } from '../src/index.ts';
import { failure, pathOf, temporary } from './support.ts';

const SLOW = 60_000;
const FOLDERS = ['/dev/shm', tmpdir()];

async function folders(): Promise<string[]> {
  const names = await Promise.all(FOLDERS.map((folder) => readdir(folder).catch(() => [])));
  return names.flat().filter((name) => name.startsWith('labs-buildah-'));
}

async function context(dockerfile: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'labs-build-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'Dockerfile'), dockerfile);
  await writeFile(join(folder, 'yogurt.txt'), 'one yogurt');
  return folder;
}

/** By name: what the machine's own engine makes must be the same. */
const asUsual = () => startBuilder({ programs: ['head'] });
const inTheEngine = async () => {
  vi.stubEnv('LABS_BUILDER', (await imageEngine(['docker', 'podman']))?.name);
  try {
    return await asUsual();
  } finally {
    vi.unstubAllEnvs();
  }
};

for (const [what, start] of [
  ['a builder of images', asUsual],
  ...((await imageEngine(['docker', 'podman'])) ? ([["a builder in the user's engine", inTheEngine]] as const) : []),
] as const)
  await describeWith(what, { builder: start }, ({ builder }) => {
    const beginning = `FROM ${builder.base}\nARG MANY=2\nCOPY yogurt.txt /shop/\n`;

    test('makes layers and a description of a Dockerfile, from its cache the second time', {
      timeout: SLOW,
    }, async () => {
      const folder = await context(`${beginning}USER node\nCMD ["/bin/cat", "/shop/yogurt.txt"]\n`);
      const [first, second] = [await builder.build({ context: folder }), await builder.build({ context: folder })];
      const layers = await first.layers();
      expect(layers.at(-1)?.files).toEqual(['shop/yogurt.txt']);
      expect(await layers.at(-1)?.read('shop/yogurt.txt')).toBe('one yogurt');
      expect(await first.config()).toMatchObject({ User: 'node', Cmd: ['/bin/cat', '/shop/yogurt.txt'] });
      expect(first.steps.find(({ instruction }) => instruction.startsWith('COPY'))?.cached).toBe(false);
      expect(second.steps.find(({ instruction }) => instruction.startsWith('COPY'))?.cached).toBe(true);
      expect((await second.layers()).map(({ digest }) => digest)).toEqual(layers.map(({ digest }) => digest));
    });

    test('runs commands, with arguments, and with secrets that stay outside', { timeout: SLOW }, async ({ skip }) => {
      if (builder.noRun !== undefined) return skip(builder.noRun);
      const run = 'RUN --mount=type=secret,id=pin head -c $MANY /run/secrets/pin > /shop/pin\n';
      const folder = await context(`${beginning}${run}`);
      await writeFile(join(folder, 'pin'), '1234');
      const built = await builder.build({
        context: folder,
        args: { MANY: '3' },
        secrets: { pin: join(folder, 'pin') },
      });
      expect(await (await built.layers()).at(-1)?.read('shop/pin')).toBe('123');
    });

    test('a build that an instruction ends fails with that instruction', { timeout: SLOW }, async () => {
      const folder = await context(`${beginning}COPY nothing /\n`);
      const { error } = await failure(builder.build({ context: folder }));
      expect(error).toBeInstanceOf(BuildFailedError);
      expect(error.message).toContain('COPY nothing /');
    });
  });

test('closed it leaves no folder', { timeout: SLOW }, async () => {
  const before = await folders();
  const builder = await startBuilder();
  const own = (await folders()).filter((name) => !before.includes(name));
  expect(own.length).toBeGreaterThan(0);
  await builder[Symbol.asyncDispose]();
  await builder[Symbol.asyncDispose]();
  // Another suite's may have come in between.
  const left = (await folders()).filter((name) => own.includes(name));
  expect(left.length).toBeLessThan(own.length);
});

test('the steps are read from what BuildKit says while it works', () => {
  const said = [
    '#1 [internal] load build definition from Dockerfile',
    '#1 DONE 0.0s',
    '#4 [build 1/3] FROM localhost/labs-1/base:1',
    '#4 CACHED',
    '#5 [build 2/3] COPY package.json ./',
    '#6 [stage-1 2/2] RUN head -c 3 yogurt',
    '#5 CACHED',
    '#6 0.071 #7 [1/1] COPY no step, but what a RUN says',
    '#6 DONE 0.1s',
    '#8 exporting to image',
  ];
  expect(buildKitSteps(said.join('\n'))).toEqual([
    { instruction: 'FROM localhost/labs-1/base:1', cached: true },
    { instruction: 'COPY package.json ./', cached: true },
    { instruction: 'RUN head -c 3 yogurt', cached: false },
  ]);
});

test('an engine that is asked for by name and does not answer is a MissingServerError, another name a bad setting', async () => {
  await using folder = await temporary();
  vi.stubEnv(
    'PATH',
    await pathOf(folder.path, { docker: '#!/bin/sh\necho "Cannot connect to the Docker daemon" >&2\nexit 1\n' }),
  );
  vi.stubEnv('LABS_BUILDER', 'docker');
  const { error } = await failure(startBuilder());
  expect(error).toBeInstanceOf(MissingServerError);
  expect(error.message).toContain('no engine of it answers');
  vi.stubEnv('LABS_BUILDER', 'kaniko');
  expect((await failure(startBuilder())).error.message).toContain('It can be buildah, docker, podman');
  vi.unstubAllEnvs();
});
