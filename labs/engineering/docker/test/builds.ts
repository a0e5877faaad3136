import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Builder, Layer } from '@shared/services';

export const TOKEN = '//registry.example/:_authToken=npm_0123456789abcdefghijABCDEFGHIJ';

/** The Dockerfile of many a first tutorial. */
export const TUTORIAL = `FROM localhost/base:1
WORKDIR /app
COPY . .
RUN npm install && rm .npmrc
CMD npm start
`;

const FILES = {
  'package.json': '{ "scripts": { "start": "node src/server.ts" } }',
  'package-lock.json': '{}',
  'src/server.ts': '// the shop',
  '.npmrc': TOKEN,
  '.env': 'DB_PASSWORD=hunter2',
  'till/.env': 'TILL_PASSWORD=hunter3',
  'till/node_modules/left-pad/index.js': 'module.exports = 1',
  'node_modules/left-pad/index.js': 'module.exports = 1',
} as const;

/** No registry here: `npm` is played by a script that brings 3 MB, and 6 MB more for who develops. */
const NPM = `#!/bin/sh
mkdir -p node_modules/shop
head -c 3000000 /dev/urandom > node_modules/shop/index.js
case "$*" in *--omit=dev*) ;; *) head -c 6000000 /dev/urandom > node_modules/shop/compiler.js ;; esac
if [ -f /root/.npmrc ]; then cat /root/.npmrc | head -c 5 > node_modules/shop/registry; fi
`;

/** A folder for the builds, and `npm` in it for the base image. */
export async function yard(): Promise<AsyncDisposable & { path: string; npm: string }> {
  const path = await mkdtemp(join(tmpdir(), 'labs-docker-'));
  const npm = join(path, 'npm');
  await writeFile(npm, NPM);
  await chmod(npm, 0o755);
  return { path, npm, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export interface Shipped {
  readonly steps: readonly { readonly instruction: string; readonly cached: boolean }[];
  readonly layers: readonly Layer[];
}

export const bytesOf = (layers: readonly Layer[]) => layers.reduce((sum, { bytes }) => sum + bytes, 0);

/** Builds the same shop with a Dockerfile and a .dockerignore, then once more after one letter of its source changed. */
export async function buildTwice(
  builder: Builder,
  folder: string,
  dockerfile: string,
  ignore: string,
): Promise<{ first: Shipped; second: Shipped; files: readonly string[] }> {
  const write = async (path: string, text: string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  };
  for (const [path, text] of Object.entries(FILES)) await write(path, text);
  await write('Dockerfile', dockerfile.replace('localhost/base:1', builder.base));
  await write('.dockerignore', ignore);
  const build = async (): Promise<Shipped> => {
    const secrets = { npmrc: join(folder, '.npmrc') };
    const built = await builder.build({ context: folder, args: { NODE_IMAGE: builder.base }, secrets });
    return { steps: built.steps, layers: await built.layers() };
  };
  const first = await build();
  await write('src/server.ts', '// the Shop');
  const second = await build();
  return { first, second, files: Object.keys(FILES) };
}

/** The text of every file of every layer that somebody who pulls the image could look for a secret in. */
export async function secretsIn(layers: readonly Layer[]): Promise<string[]> {
  const found: string[] = [];
  for (const [index, layer] of layers.entries()) {
    for (const file of layer.files.filter((path) => /(?:^|\/)\.(?:npmrc|env)$/.test(path))) {
      found.push(`layer ${index + 1}: ${file}: ${(await layer.read(file)).slice(0, 44)}`);
    }
  }
  return found;
}

export const ours = async (name: 'Dockerfile' | '.dockerignore') =>
  readFile(join(import.meta.dirname, '../src', name), 'utf8');
