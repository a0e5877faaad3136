import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Layer, MissingServerError, startBuilder } from '@shared/services';
import { maySkip } from '@shared/testkit';
import { beforeAll, describe, expect, test } from 'vitest';
import { dockerignore } from '#lab';

const files = [
  ...['package.json', '.env', '.env.example', '.git/HEAD', 'node_modules/a.js', 'shop/node_modules/b.js', 'shop/.env'],
  ...['src/a.ts', 'src/a.test.ts', 'src/deep/b.test.ts', 'docs/README.md', 'README.md', 'notes.md', 'x/y/z/q.pem'],
  ...['b1', 'bx', 'dist/app.js', 'dist/keep/me.js', 'a+b', 'c.d', 'key'],
];
const ignore = `# as people write it
node_modules
.git/
.env*
!.env.example
**/*.test.ts
/docs
*.md
!README.md
x/**/q.pem
b[0-9]
dist/*
!dist/keep
?+b
`;

describe('a real build', () => {
  let layers: readonly Layer[] = [];
  let missing: string | undefined;
  let noRun: string | undefined;
  // Not at the top: a grading that runs one law of another file must not wait for it.
  beforeAll(async () => {
    const context = await mkdtemp(join(tmpdir(), 'labs-docker-'));
    try {
      await using builder = await startBuilder();
      ({ noRun } = builder);
      for (const path of files) {
        await mkdir(dirname(join(context, path)), { recursive: true });
        await writeFile(join(context, path), path === 'key' ? 'hunter2' : path);
      }
      const removed = noRun === undefined ? 'COPY key /\nRUN rm /key\n' : '';
      await writeFile(join(context, '.dockerignore'), ignore);
      await writeFile(join(context, 'build.Dockerfile'), `FROM ${builder.base}\nCOPY . /in/\n${removed}`);
      const built = await builder.build({ context, dockerfile: join(context, 'build.Dockerfile') });
      // What they hold is read while the store is there.
      layers = await Promise.all(
        (await built.layers()).map(async (layer) => {
          const text = layer.files.includes('key') ? await layer.read('key') : '';
          return { ...layer, read: async () => text };
        }),
      );
    } catch (error) {
      if (!(error instanceof MissingServerError) || !maySkip(error.message)) throw error;
      missing = error.message;
    } finally {
      await rm(context, { recursive: true });
    }
  }, 30_000);

  test('takes along what this says it takes along', ({ skip }) => {
    if (missing !== undefined) return skip(missing);
    const copied = layers[1]?.files.map((path) => path.replace(/^in\//, '')).filter((path) => files.includes(path));
    expect(copied?.sort()).toEqual(files.filter(dockerignore(ignore)).sort());
  });

  test('what a later layer deletes can still be read from the one before: CL1004 is true', async ({ skip }) => {
    const why = missing ?? noRun;
    if (why !== undefined) return skip(why);
    expect(layers.at(-1)?.files).toContain('.wh.key');
    expect(await layers.at(-2)?.read('key')).toBe('hunter2');
  });
});
